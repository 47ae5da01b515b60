"""The converter's metadata: read where it is sound, "cannot be read" where it is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import flatbuffers
import pytest
from structure.edited import tiny

import thimble
from thimble.graph import Model
from thimble.structure.converter import converter


def metadata(version: str, model_type: int, modes: list[int]) -> bytes:
    """A CONVERSION_METADATA buffer, by the flatbuffers library."""
    b = flatbuffers.Builder(64)
    text = b.CreateString(version)
    b.StartVector(4, len(modes), 4)
    for mode in reversed(modes):
        b.PrependInt32(mode)
    vector = b.EndVector()
    b.StartObject(1)
    b.PrependUOffsetTRelativeSlot(0, vector, 0)
    options = b.EndObject()
    b.StartObject(4)
    b.PrependUOffsetTRelativeSlot(0, text, 0)
    b.PrependUint32Slot(1, 2, 0)
    b.PrependInt32Slot(2, model_type, 0)
    environment = b.EndObject()
    b.StartObject(2)
    b.PrependUOffsetTRelativeSlot(0, environment, 0)
    b.PrependUOffsetTRelativeSlot(1, options, 0)
    b.Finish(b.EndObject())
    return bytes(b.Output())


def with_metadata(data: bytes) -> Model:
    return dataclasses.replace(tiny(), metadata={"CONVERSION_METADATA": data})


def test_what_the_converter_wrote() -> None:
    found = converter(with_metadata(metadata("2.21.0", 2, [1003, 3001])))
    assert found == {
        "tensorflow": "2.21.0",
        "converter_api": 2,
        "framework": "Keras",
        "optimization": "full integer, random sparsity",
    }


def test_cut_and_damaged_metadata() -> None:
    data = metadata("2.21.0", 2, [1003])
    for end in range(len(data)):
        assert isinstance(converter(with_metadata(data[:end])), dict)
    for i in range(len(data)):
        for value in (0, 1, 127, 128, 255):
            damaged = data[:i] + bytes([value]) + data[i + 1 :]
            text = converter(with_metadata(damaged)).values()
            assert all(isinstance(v, int) or v.isprintable() for v in text)


@pytest.mark.parametrize(
    ("name", "framework"), [("keras", "Keras"), ("tfnn", "TensorFlow concrete functions")]
)
def test_real_files(shared: Path, name: str, framework: str) -> None:
    path = shared / "data" / "structure" / f"tinyconv_{name}_conv2d_b1_int8.tflite"
    found = converter(thimble.load(str(path)))
    assert found["framework"] == framework
    assert found["tensorflow"] == "2.21.0"
    assert found["optimization"] == "full integer"
