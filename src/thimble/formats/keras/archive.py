"""What is in a Keras file: the configuration as plain JSON values, and the weights.

`.keras` is a zip of config.json, metadata.json and model.weights.h5; `.h5` is HDF5 with the
configuration in an attribute. Nothing in a file is ever executed or unpickled: JSON and arrays are
all that is read, each up to a limit, whatever sizes the file claims.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thimble.errors import BadInput, Finding, InvalidModel, ToolMissing
from thimble.formats.keras.hdf5 import damaged, open_hdf5
from thimble.formats.keras.weights import LegacyWeights, Weights, WeightsV3

MAX_CONFIG_BYTES = 64 << 20
MAX_FILE_BYTES = 512 << 20
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Saved:
    """A file's content: `config` {"class_name", "config"}, the weights of its model, versions."""

    config: Mapping[str, Any]
    weights: Weights
    version: str


def read(path: str) -> Saved:
    """The content of a Keras file. Raises BadInput, InvalidModel or ToolMissing."""
    _require_h5py()
    data = _bytes(path)
    source = os.path.basename(path)
    if data.startswith(_ZIP_MAGIC):
        return _read_v3(data, source)
    if data.startswith(HDF5_MAGIC):
        return _read_hdf5(data, source)
    message = "is neither a .keras archive (zip) nor an HDF5 file"
    hint = "save the whole model with model.save('model.keras'); a folder is a SavedModel"
    raise InvalidModel(Finding("not-keras", source, message, hint))


def _require_h5py() -> None:
    import importlib.util

    if importlib.util.find_spec("h5py") is None:
        message = "h5py is not installed, which reads the weights of Keras models"
        raise ToolMissing(
            Finding("tool-missing", "Keras models", message, "pip install 'thimble-ml[keras]'")
        )


def _bytes(path: str) -> bytes:
    try:
        if os.path.isdir(path):
            raise BadInput(Finding("no-file", path, "is a folder", "name a .keras or .h5 file"))
        size = os.path.getsize(path)
        if size > MAX_FILE_BYTES:
            message = f"has {size} bytes; models up to {MAX_FILE_BYTES} are read"
            hint = "this is no model for a microcontroller"
            raise BadInput(Finding("too-large", path, message, hint))
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "check the path" if isinstance(error, FileNotFoundError) else ""
        raise BadInput(Finding("no-file", path, f"cannot be read: {reason}", hint)) from error


def _read_v3(data: bytes, source: str) -> Saved:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            if "config.json" not in names:
                message = f"the archive has no config.json; it has {_some(names)}"
                hint = "save the whole model with model.save('model.keras')"
                raise InvalidModel(Finding("not-keras", source, message, hint))
            config = _member(archive, "config.json", MAX_CONFIG_BYTES)
            about = b"{}"
            if "metadata.json" in names:
                about = _member(archive, "metadata.json", MAX_CONFIG_BYTES)
            content = b""
            if "model.weights.h5" in names:
                content = _member(archive, "model.weights.h5", MAX_FILE_BYTES)
    except _ZIP_ERRORS as error:  # RuntimeError: encrypted or an unknown compression
        raise damaged(source, f"the archive is damaged: {error}") from error
    parsed = _json(config, source, "config.json")
    versions = _json(about, source, "metadata.json")
    if not content:
        message = "the archive has no model.weights.h5"
        hint = "weights in shards or other formats are not read: save with model.save()"
        raise InvalidModel(Finding("no-weights", source, message, hint))
    weights = WeightsV3(open_hdf5(content, source))
    return Saved(parsed, weights, str(versions.get("keras_version", "")))


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    with archive.open(name) as stream:
        content = stream.read(limit + 1)  # what a header claims may be a lie
    if len(content) > limit:
        raise ValueError(f"{name} has more than {limit} bytes")
    return content


def _some(names: set[str]) -> str:
    shown = sorted(names)[:5]
    return ", ".join(shown) + (" ..." if len(names) > len(shown) else "") or "nothing"


def _json(text: bytes | str, source: str, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(source, f"{what} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise damaged(source, f"{what} holds a {type(value).__name__}, not an object")
    return value


def _read_hdf5(data: bytes, source: str) -> Saved:
    root = open_hdf5(data, source)
    config = root.attribute("model_config")
    if not isinstance(config, str):
        message = "there are weights in this file and no model"
        hint = "save the whole model with model.save(), not its weights alone"
        raise InvalidModel(Finding("not-keras", source, message, hint))
    group = root.group("model_weights")
    if group is None:
        raise damaged(source, "it has no model_weights")
    parsed = _json(config, source, "model_config")
    version = str(root.attribute("keras_version") or "")
    return Saved(parsed, LegacyWeights.of(group), version)
