"""A process of its own that reads HDF5: the library crashes or never ends on some damaged files.

Content comes on stdin; a .npz goes to stdout: the arrays as `0`, `1` ... and `tree`, JSON in UTF-8:
{"groups": {name: tree}, "arrays": {name: number}, "attributes": {name: text or [text]}, "odd":
{name: why its values are not read}}. Links are followed inside the file only, weights of optimizers
are left out.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

import numpy as np

MAX_BYTES = 512 << 20  # of all arrays together
MAX_DEPTH = 64
MEMORY_BYTES = 4 << 30
_OPTIMIZERS = ("optimizer", "optimizer_weights")


class _Reader:
    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.left = MAX_BYTES

    def group(self, group: Any, depth: int = 0) -> dict[str, Any]:
        """The tree below a group."""
        import h5py

        tree: dict[str, Any] = {"groups": {}, "arrays": {}, "odd": {}}
        tree["attributes"] = {name: text for name in group.attrs if (text := _text(group, name))}
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            if depth == 0 and name in _OPTIMIZERS:
                continue
            found = group[name]
            if isinstance(found, h5py.Dataset):
                why = self.refusal(found)
                if why:
                    tree["odd"][name] = why
                    continue
                tree["arrays"][name] = len(self.arrays)
                self.arrays.append(np.ascontiguousarray(found[()], np.float32))
            elif isinstance(found, h5py.Group):
                if depth >= MAX_DEPTH:
                    raise ValueError(f"groups are nested more than {MAX_DEPTH} deep")
                tree["groups"][name] = self.group(found, depth + 1)
        return tree

    def refusal(self, dataset: Any) -> str:
        """Why the values of a dataset are not read; empty where they are."""
        if dataset.external or dataset.is_virtual:
            return "its values lie in another file"
        if dataset.dtype.kind not in "fiub":
            return f"it holds {dataset.dtype}"
        self.left -= int(dataset.size or 0) * max(dataset.dtype.itemsize, 4)
        if self.left < 0:
            raise ValueError(f"the arrays take more than {MAX_BYTES} bytes")
        return ""


def _text(group: Any, name: str) -> str | list[str] | None:
    """An attribute that is text, or a list of it; None for others."""
    value = group.attrs[name]
    if isinstance(value, (str, bytes)):
        return _decoded(value)
    array = np.asarray(value)
    if array.ndim == 1 and array.dtype.kind in "SUO":
        return [_decoded(item) for item in array.tolist() if isinstance(item, (str, bytes))]
    return None


def _decoded(value: str | bytes) -> str:
    return value.decode("utf8", "replace") if isinstance(value, bytes) else value


def main() -> None:
    """Read stdin, write stdout; status 1 with one line on stderr where the file is damaged."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # there are systems without it
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    import h5py

    content = sys.stdin.buffer.read()
    reader = _Reader()
    try:
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            tree = reader.group(file)
    except Exception as error:  # whatever a damaged file makes of the library
        sys.exit(f"{type(error).__name__}: {error}".splitlines()[0])
    text = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, tree=text, **{str(i): a for i, a in enumerate(reader.arrays)})  # type: ignore[arg-type]
    sys.stdout.buffer.write(buffer.getvalue())


if __name__ == "__main__":
    main()
