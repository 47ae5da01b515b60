"""`model.lock`: what a model is, small enough to read in a diff and exact enough to fail on one
scale or one op.

Nothing in it depends on the machine, the day or the folder, so that a lock written here verifies
there. docs/check.md has the format.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thimble import __version__
from thimble.errors import BadInput, Finding
from thimble.formats import load_model
from thimble.graph import Model
from thimble.lock.golden import golden_differences, golden_rows
from thimble.lock.rows import Reader, graph_rows
from thimble.lock.toml import dumps
from thimble.policy.contract import Subject
from thimble.structure.changes import model_changes
from thimble.structure.facts import clean, model_facts
from thimble.structure.kinds import Change

LOCK_VERSION = 1
MAX_LOCK_BYTES = 64 << 20
COMMENT = (
    "Written by `thimble lock`. Do not edit; verify with `thimble check MODEL --lock THIS_FILE`."
)


@dataclass(frozen=True)
class Lock:
    """The tables of a lock. `text` is the file."""

    document: Mapping[str, Any]

    @property
    def text(self) -> str:
        return dumps(self.document, COMMENT)

    @property
    def summary(self) -> str:
        """One line: layers, memory, golden vectors."""
        about, memory, golden = (self.document[key] for key in ("model", "memory", "golden"))
        arena = memory.get("arena_bytes", memory.get("arena_bound_bytes"))
        planned = f"arena {arena:,} bytes" if arena is not None else memory["reason"]
        seeded = f"{golden['samples']} golden samples" if golden["samples"] else golden["reason"]
        return f"{about['name']}: {about['layers']} layers; {planned}; {seeded}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole or not at all. Raises BadInput where it cannot be written."""
        from thimble.output import write_file

        write_file(path, self.text)

    def __str__(self) -> str:
        return self.text


def lock(model: Any) -> Lock:
    """The lock of `model` (a path or a `Model`). Raises what the reader of its format raises."""
    loaded = load_model(model)
    content = None if isinstance(model, Model) else Path(model).read_bytes()
    return lock_of(Subject(loaded, content))


def lock_of(subject: Subject) -> Lock:
    """The lock of a model that is under check."""
    facts = model_facts(subject.model)
    main, *others = (graph_rows(graph) for graph in facts.graphs)
    about: dict[str, Any] = {"name": clean(os.path.basename(subject.model.source))}
    if subject.content is not None:
        about |= {
            "file_bytes": len(subject.content),
            "sha256": hashlib.sha256(subject.content).hexdigest(),
        }
    about |= {
        "layers": sum(len(graph.layers) for graph in facts.graphs),
        "macs": subject.macs,
        "signatures": list(facts.signatures),
    }
    document: dict[str, Any] = {"lock_version": LOCK_VERSION, "thimble": __version__}
    document |= {"inputs": main["inputs"], "outputs": main["outputs"], "model": about}
    if facts.converter:
        document["converter"] = dict(facts.converter)
    document["memory"] = _memory(subject)
    document["golden"] = golden_rows(subject)
    document["layers"] = main["layers"]
    if others:
        document["subgraphs"] = others
    return Lock(document)


def _memory(subject: Subject) -> dict[str, Any]:
    if subject.arena_bytes is None or subject.weights_bytes is None:
        reasons = [finding.message for finding in subject.unsupported[:1]]
        return {"reason": clean(reasons[0] if reasons else "the model cannot be planned")}
    assert subject.planned is not None
    found: dict[str, Any] = {
        "arena_bytes": subject.arena_bytes,
        "weights_bytes": subject.weights_bytes,
    }
    if not subject.planned[1].plan.optimal:  # a matter of time, so of the machine
        del found["arena_bytes"]
        found["arena_bound_bytes"] = subject.planned[1].plan.bound_bytes
    return found


def verify(subject: Subject, path: str | os.PathLike[str], tolerance: float = 0.0) -> list[Change]:
    """What has changed since the lock in the file `path` was written; empty where nothing has.

    `tolerance`: relative, of scales. Raises BadInput where there is no such file.
    """
    name = os.fspath(path)
    try:
        size = os.path.getsize(name)
        data = Path(name).read_bytes() if size <= MAX_LOCK_BYTES else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(Finding("no-file", name, f"cannot be read: {reason}")) from error
    if size > MAX_LOCK_BYTES:
        return [Change("lock-file", "", f"has {size} bytes: no lock is as large")]
    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        return [Change("lock-file", "", f"is no TOML: {error}")]
    return changes_since(document, subject, tolerance)


def changes_since(
    document: Mapping[str, Any], subject: Subject, tolerance: float = 0.0
) -> list[Change]:
    """What has changed since `document`, a lock's tables, was written."""
    version = document.get("lock_version")
    if version != LOCK_VERSION:
        text = f"has version {version!r}; this Thimble reads version {LOCK_VERSION}"
        return [Change("lock-file", "lock_version", text)]
    reader = Reader()
    before = reader.model(document, "the lock")
    about = reader.get(document, "model", dict, "", {})
    memory = reader.get(document, "memory", dict, "", {})
    golden = reader.get(document, "golden", dict, "", {})
    found = [Change("lock-file", "", problem) for problem in dict.fromkeys(reader.problems)]
    found += model_changes(before, model_facts(subject.model), tolerance)
    now = lock_of(subject).document
    same_file = about.get("sha256") == now["model"].get("sha256", about.get("sha256"))
    found += _memory_changes(memory, now["memory"], same_file, document.get("thimble"))
    found += [
        Change("changed-golden", "golden vectors", text)
        for text in golden_differences(golden, now["golden"])
    ]
    if not same_file and not found:
        text = "its bytes are others, but nothing that a lock holds has changed"
        found.append(Change("changed-file", "", text))
    return found


def _memory_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], same_file: bool, thimble: Any
) -> list[Change]:
    found = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key):
            continue
        text = f"{key} {_amount(old.get(key))} -> {_amount(new.get(key))}"
        if same_file:
            text += f"; the file is the same, Thimble {thimble} is now {__version__}"
        found.append(Change("changed-planner" if same_file else "changed-memory", "memory", text))
    return found


def _amount(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
