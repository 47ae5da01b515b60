"""Read and write .tflite files: `load(path)`, `loads(data)`, `save(model, path)`, `dumps(model)`.

Anything the schema can say survives a round trip; ops without a file in `thimble.ops` are carried
as `OpaqueOp`. A damaged, cut or hostile file ends in findings, never in anything else.

What the graph has no field for is in `extra`, by schema name:
  Tensor  sparsity, variant_tensors, range (min and max recorded without a scale)
  Node    options (those that the op's class has no field for), mutating_variable_inputs,
          custom_options_format, debug_metadata_index
  Graph   debug_metadata_index
  Model   metadata_buffers (the contents), files (attached by TFLite Metadata: name -> bytes),
          only_new_builtin_code (names of ops without deprecated_builtin_code; never written)
A constant is raw bytes where it is sparse, and where its dtype is in
`thimble.invariants.RAW_DTYPES`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from thimble.errors import BadInput, Finding, InvalidModel
from thimble.graph import Model

MAX_FILE_BYTES = 512 << 20  # far beyond any microcontroller, far below what exhausts a workstation

_OTHER_FORMATS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5)", "a Keras model is read as NAME.h5"),
    (
        b"PK\x03\x04",
        "a zip archive (.keras, .pt or a download)",
        "a Keras model is read as NAME.keras; unpack or convert others",
    ),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (b"<", "a web page or XML", "download the file itself, not the page about it"),
    (
        b"\x08",
        "perhaps an ONNX or TensorFlow protobuf",
        "load .onnx by its own name, or convert it",
    ),
    (b"\x93NUMPY", "a NumPy array", "give the model first, and data with --data or --input"),
)


def load(path: str | os.PathLike[str]) -> Model:
    """The model in a .tflite file. Weights are views of the file's bytes.

    Raises BadInput when there is no such readable file, InvalidModel or UnsupportedModel with every
    finding when its content is not a model.
    """
    name = os.fspath(path)
    try:
        info = os.stat(name)
        if not stat.S_ISREG(info.st_mode):
            kind = "a folder" if stat.S_ISDIR(info.st_mode) else "not a regular file"
            raise BadInput(Finding("no-file", name, f"is {kind}", "name a .tflite file"))
        if info.st_size > MAX_FILE_BYTES:
            raise BadInput(
                Finding(
                    "too-large",
                    name,
                    f"has {info.st_size} bytes; models up to {MAX_FILE_BYTES} are read",
                    "this is no model for a microcontroller",
                )
            )
        data = Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "check the path" if isinstance(error, FileNotFoundError) else ""
        raise BadInput(Finding("no-file", name, f"cannot be read: {reason}", hint)) from error
    return loads(data, os.path.basename(name))


def loads(data: bytes, source: str = "model") -> Model:
    """The model in the bytes of a .tflite file; `source` names it in messages.

    Raises InvalidModel or UnsupportedModel.
    """
    from thimble.formats.tflite.flatbuffer import FILE_IDENTIFIER
    from thimble.formats.tflite.read import read

    if not isinstance(data, bytes):
        data = bytes(data)
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise InvalidModel(_not_tflite(data, source))
    return read(data, source)


def dumps(model: Model) -> bytes:
    """The bytes of a .tflite file; `loads` of them gives an equal model.

    Raises InvalidModel where the model breaks a rule of `thimble.invariants`, UnsupportedModel
    where the format cannot hold it.
    """
    from thimble.formats.tflite.flatbuffer import raise_findings
    from thimble.formats.tflite.write import write
    from thimble.invariants import check_model

    raise_findings(check_model(model))
    return write(model)


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a .tflite file: complete or not at all.

    Raises BadInput where the path is not writable, and what `dumps` raises.
    """
    data = dumps(model)
    name = os.fspath(path)
    temporary = f"{name}.{os.getpid()}.tmp"
    try:
        Path(temporary).write_bytes(data)
        os.replace(temporary, name)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):
            os.unlink(temporary)
        message = f"cannot be written: {getattr(error, 'strerror', None) or error}"
        raise BadInput(Finding("not-writable", name, message, "choose another path")) from error


def _not_tflite(data: bytes, source: str) -> Finding:
    if not data:
        return Finding("empty", source, "the file is empty", "fetch or export it again")
    for magic, what, hint in _OTHER_FORMATS:
        if data.startswith(magic):
            return Finding("not-tflite", source, f"this is {what}, not a .tflite file", hint)
    found = data[4:8].decode("ascii", "replace")
    return Finding(
        "not-tflite",
        source,
        f"a .tflite file has TFL3 at bytes 4 to 7; this one has {found!r}",
        "export the model with the TFLite converter",
    )
