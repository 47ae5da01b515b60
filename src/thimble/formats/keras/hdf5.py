"""HDF5 files as groups in memory, read by a process that may crash or be ended."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thimble.errors import Finding, InvalidModel

Array = np.ndarray

SECONDS = 20.0  # far beyond what a file of the largest size takes


def damaged(source: str, message: str) -> InvalidModel:
    """The error for a file that is not what its format says."""
    return InvalidModel(Finding("damaged", source, message, "fetch it or save it again"))


@dataclass(frozen=True)
class Group:
    """A group of an HDF5 file: groups, arrays and attributes by name."""

    tree: Mapping[str, Any]
    values: Mapping[str, Array]
    source: str

    def names(self) -> list[str]:
        """The names of the groups and arrays in it."""
        return [*self.tree["groups"], *self.tree["arrays"], *self.tree["odd"]]

    def group(self, name: str) -> Group | None:
        """The group of this name, or None. A name with slashes is a path."""
        tree: Any = self.tree
        for part in name.split("/"):
            tree = tree["groups"].get(part)
            if tree is None:
                return None
        return Group(tree, self.values, self.source)

    def attribute(self, name: str) -> str | list[str] | None:
        """An attribute that is text or a list of it."""
        return self.tree["attributes"].get(name)

    def array(self, name: str) -> Array:
        """The float32 values of an array; its name may be a path. Raises InvalidModel."""
        *folders, last = name.split("/")
        group = self.group("/".join(folders)) if folders else self
        if group is None or last not in group.tree["arrays"]:
            why = None if group is None else group.tree["odd"].get(last)
            message = f"cannot be read: {why}" if why else "are missing"
            raise damaged(self.source, f"the weights `{name}` {message}")
        return self.values[str(group.tree["arrays"][last])]


def open_hdf5(content: bytes, source: str) -> Group:
    """The root of an HDF5 file that is in memory. Raises InvalidModel."""
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "thimble.formats.keras.hdf5_process"],
            input=content,
            capture_output=True,
            timeout=SECONDS,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired as error:
        message = f"the HDF5 library did not read it within {SECONDS:g} s"
        raise damaged(source, message) from error
    if done.returncode != 0:
        lines = done.stderr.decode("utf8", "replace").strip().splitlines()
        why = lines[-1] if done.returncode == 1 and lines else "the HDF5 library crashed on it"
        raise damaged(source, f"the HDF5 file is damaged: {why}")
    if not done.stdout:
        raise damaged(source, "the HDF5 library ended without a result")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as found:
        values = {name: found[name] for name in found.files}
    tree = json.loads(values.pop("tree").tobytes())
    return Group(tree, values, source)
