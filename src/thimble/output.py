"""Writing results so that they are there whole or not at all: a temporary name first, then a
rename.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from thimble.errors import BadInput, Finding


def _cannot_write(path: str, error: OSError) -> BadInput:
    reason = error.strerror or str(error)
    hint = "free some space or write elsewhere" if error.errno == 28 else "write elsewhere"
    return BadInput(Finding("cannot-write", path, f"cannot be written: {reason}", hint))


def check_writable(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Refuse, before any work is done, an output that cannot be written. Raises BadInput."""
    target = Path(path)
    if folder and target.exists() and not target.is_dir():
        raise BadInput(Finding("cannot-write", str(target), "is a file, not a folder"))
    if not folder and target.is_dir():
        raise BadInput(Finding("cannot-write", str(target), "is a folder", "name a file in it"))
    above = target.parent if not target.is_dir() else target
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise BadInput(Finding("cannot-write", str(target), f"{above} is not a folder"))
    if not os.access(above, os.W_OK | os.X_OK):
        raise BadInput(Finding("cannot-write", str(target), f"no permission to write in {above}"))


def write_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write `content` to `path`, whose folder is made. Raises BadInput when the system refuses."""
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise _cannot_write(str(target), error) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_folder(path: str | os.PathLike[str], files: Mapping[str, bytes | str]) -> None:
    """Write `files` (relative path -> content) into the folder `path`.

    A new folder appears by one rename. In an existing one each file is replaced by a rename once
    all are written; what else lies there is left alone. Raises BadInput when the system refuses.
    """
    target = Path(path)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        for name, content in files.items():
            relative = PurePosixPath(name)
            if relative.is_absolute() or ".." in relative.parts:
                raise ValueError(f"{name} does not stay below the folder")
            file = temporary / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o777 & ~_umask())
        if not target.exists():
            os.rename(temporary, target)
            return
        for name in files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / name, target / name)
    except OSError as error:
        raise _cannot_write(str(target), error) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
