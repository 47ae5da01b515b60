"""Reading and writing model files and data: `load_model(path)` chooses the reader by suffix."""

from __future__ import annotations

import os
from typing import Any

from thimble.errors import BadInput, Finding
from thimble.graph import Model

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


def is_tflite(path: str | os.PathLike[str]) -> bool:
    """Whether `load_model` reads this path as a .tflite file."""
    return not os.fspath(path).lower().endswith(KERAS_SUFFIXES)


def load_model(source: Any) -> Model:
    """The model in the file `source` (a path), or `source` itself when it is a `Model`.

    Raises BadInput for what is neither, and whatever the reader of the format raises.
    """
    if isinstance(source, Model):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise BadInput(
            Finding(
                "model",
                type(source).__name__,
                "is neither a path nor a model",
                "give the path of a .tflite, .keras or .h5 file, or what thimble.load returned",
            )
        )
    if is_tflite(source):
        from thimble.formats.tflite import load

        return load(source)
    from thimble.formats.keras import load as load_keras

    return load_keras(source)
