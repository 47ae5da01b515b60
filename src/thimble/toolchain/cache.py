"""Built things by content hash: (key, builder) -> directory, made once, shared between processes.

The directory is $THIMBLE_CACHE, else $XDG_CACHE_HOME/thimble, else ~/.cache/thimble. Entries appear
by rename, so a reader never sees half of one; the least recently used are removed when they exceed
the bound.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from thimble.errors import BadInput, Finding

MAX_BYTES = 512 << 20  # of all entries; the compilers' own caches are bounded separately
ABANDONED_SECONDS = 24 * 3600
KEEP_ENTRIES = 8  # the newest entries stay whatever their size: another process may be using them


def cache_directory() -> Path:
    """The user's cache directory, created. Raises BadInput when it cannot be written."""
    configured = os.environ.get("THIMBLE_CACHE")
    if configured:
        path = Path(configured).expanduser()
    else:
        base = os.environ.get("XDG_CACHE_HOME")
        path = (Path(base) if base else Path.home() / ".cache") / "thimble"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            Finding(
                "cache",
                str(path),
                f"the cache directory cannot be made: {error.strerror}",
                "set THIMBLE_CACHE to a directory that can be written",
            )
        ) from error
    return path.resolve()


def content_key(parts: Iterable[str | bytes]) -> str:
    """SHA-256 over the parts, each preceded by its length, as 40 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:40]


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """The directory that `build(directory)` filled for `key`, built now unless it exists already.

    When two processes build the same key at once, the first to finish wins and both use its result.
    """
    root = cache_directory() / "built"
    root.mkdir(exist_ok=True)
    entry = root / key
    if entry.is_dir():
        os.utime(entry)
        return entry
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=root))
    try:
        build(scratch)
        try:
            scratch.rename(entry)
        except OSError:
            if not entry.is_dir():
                raise
    finally:
        if scratch.exists():
            shutil.rmtree(scratch, ignore_errors=True)
    _evict(root)
    return entry


def _evict(root: Path) -> None:
    """Remove the least recently used entries beyond MAX_BYTES, never the newest KEEP_ENTRIES.

    And what a build left that was killed a day ago or earlier.
    """
    ages: list[tuple[float, int, Path]] = []
    for entry in root.iterdir():
        try:
            if entry.name.startswith("."):
                if time.time() - entry.stat().st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(entry, ignore_errors=True)
            else:
                size = sum(file.stat().st_size for file in entry.rglob("*"))
                ages.append((entry.stat().st_mtime, size, entry))
        except OSError:  # another process removed it
            continue
    ages.sort(reverse=True)
    total = 0
    for position, (_, size, entry) in enumerate(ages):
        total += size
        if position >= KEEP_ENTRIES and total > MAX_BYTES:
            shutil.rmtree(entry, ignore_errors=True)
