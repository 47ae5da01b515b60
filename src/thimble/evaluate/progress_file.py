"""A file that holds how far an evaluation has come, so that a later call goes on from there."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from thimble.errors import BadInput, Finding
from thimble.formats.data import Dataset
from thimble.graph import Model
from thimble.output import check_writable, write_file

Array = np.ndarray

FORMAT = "thimble evaluate 1"
LEAST_SECONDS = 0.5  # between two writes; ten times longer than a write takes, at least
FIGURES = ("cpu_seconds", "wall_seconds", "peak_rss_bytes")


@dataclass
class Record:
    """What one model on one runner has given so far: of each sample its first output, seconds and
    instructions (0 where not measured).
    """

    outputs: list[Array] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    instructions: list[int] = field(default_factory=list)
    cpu_seconds: float | None = None
    wall_seconds: float = 0.0
    peak_rss_bytes: int | None = None


@dataclass(frozen=True)
class Identity:
    """What must be the same for results to be joined, in words and as SHA-256."""

    what: str
    model: str
    data: str


def identity_of(model: Model, runner: str, dataset: Dataset) -> Identity:
    """The identity of `model` on `runner` with all of `dataset`."""
    from thimble.formats.tflite import dumps

    data = hashlib.sha256()
    for array in (*dataset.inputs, dataset.labels):
        if array is not None:
            data.update(f"{array.dtype} {array.shape};".encode())
            data.update(np.ascontiguousarray(array).tobytes())
    digest = hashlib.sha256(dumps(model)).hexdigest()
    return Identity(f"{model.source}@{runner}", digest, data.hexdigest())


class ProgressFile:
    """Records of several identities in the file `path` (nowhere, where None).

    Raises BadInput when the file is damaged or of another model, runner or data set.
    """

    def __init__(self, path: str | None, identities: Callable[[], Sequence[Identity]], count: int):
        self.path = path
        self.records = [Record() for _ in range(count)]
        self._identities: Sequence[Identity] = ()
        self._next_write = 0.0
        if path is None:
            return
        check_writable(path)
        self._identities = identities()
        if os.path.exists(path):
            self._read(path)

    def saved(self, *, now: bool = False) -> None:
        """Write, if it is time to, or at once: a whole file under another name, then a rename."""
        start = time.monotonic()
        if self.path is None or not (now or start >= self._next_write):
            return
        arrays: dict[str, Array] = {}
        for i, record in enumerate(self.records):
            done = len(record.instructions)  # the last to grow: Ctrl-C comes anywhere
            if done:
                arrays[f"outputs_{i}"] = np.stack(record.outputs[:done])
            arrays[f"seconds_{i}"] = np.array(record.seconds[:done], np.float64)
            arrays[f"instructions_{i}"] = np.array(record.instructions, np.int64)
        about = {
            "format": FORMAT,
            "identities": [asdict(x) for x in self._identities],
            "figures": [{name: getattr(r, name) for name in FIGURES} for r in self.records],
        }
        stream = io.BytesIO()
        np.savez(stream, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
        write_file(self.path, stream.getvalue())
        self._next_write = time.monotonic() + max(LEAST_SECONDS, 10 * (time.monotonic() - start))

    def _read(self, path: str) -> None:
        hint = "name another file, or remove this one to begin anew"
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(str(arrays["about"]))
            if about["format"] != FORMAT:
                raise ValueError(f"its format is {about['format']!r}")
            found = [Identity(**x) for x in about["identities"]]
            self._check(path, found, hint)
            self.records = [_record(arrays, i, x) for i, x in enumerate(about["figures"])]
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise BadInput(Finding("no-file", path, message)) from error
        except (ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
            message = f"is no file of an interrupted evaluation: {error}"
            raise BadInput(Finding("resume", path, message, hint)) from error

    def _check(self, path: str, found: Sequence[Identity], hint: str) -> None:
        wanted = list(self._identities)
        if [x.what for x in found] != [x.what for x in wanted]:
            names = (", ".join(x.what for x in side) for side in (found, wanted))
            message = "is of {}, not of {}".format(*names)
            raise BadInput(Finding("resume", path, message, hint))
        differing = [
            Finding("resume", path, f"is of another {part} ({mine.what})", hint)
            for theirs, mine in zip(found, wanted)
            for part, a, b in (
                ("model of that name", theirs.model, mine.model),
                ("data set", theirs.data, mine.data),
            )
            if a != b
        ]
        if differing:
            raise BadInput(differing)


def _record(arrays: dict[str, Array], i: int, figures: dict[str, Any]) -> Record:
    outputs = list(arrays.get(f"outputs_{i}", ()))
    seconds = [float(x) for x in arrays[f"seconds_{i}"]]
    instructions = [int(x) for x in arrays[f"instructions_{i}"]]
    if not len(outputs) == len(seconds) == len(instructions):
        raise ValueError("its arrays have different lengths")
    return Record(outputs, seconds, instructions, *(figures[name] for name in FIGURES))
