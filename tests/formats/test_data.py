"""Data sets: arrays by name, shapes, conversion to the dtype of the input, folders."""

from __future__ import annotations

import struct
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder

from thimble.errors import BadInput
from thimble.formats.convert import quantize_array
from thimble.formats.data import as_dataset, random_dataset
from thimble.formats.folder import read_wav
from thimble.formats.png import read_png
from thimble.graph import Model, Quant, Tensor
from thimble.ops.reshape import Reshape


def identity(
    shape: tuple[int, ...], dtype: str = "int8", scale: float = 0.5, zero: int = 3
) -> Model:
    """A model that reshapes one input."""
    builder = ModelBuilder()
    quant = None if dtype == "float32" else scale
    x = builder.input("image", shape, dtype, quant, zero)
    size = int(np.prod(shape))
    y = builder.op(Reshape((1, size)), [x], outputs=[((1, size), dtype, quant, zero)])
    return builder.build(outputs=[y])


@pytest.mark.parametrize(
    ("given", "samples", "has_samples"),
    [
        ((5, 1, 4, 2), 5, True),
        ((5, 4, 2), 5, True),
        ((1, 4, 2), 1, True),
        ((4, 2), 1, False),
        ((5, 4, 2, 1), 5, True),
        ((1, 1, 4, 2), 1, True),
    ],
)
def test_shapes(given: tuple[int, ...], samples: int, has_samples: bool) -> None:
    dataset = as_dataset(np.zeros(given, np.int8), identity((1, 4, 2)))
    assert len(dataset) == samples
    assert dataset.inputs[0].shape == (samples, 1, 4, 2)
    assert dataset.has_samples == has_samples


@pytest.mark.parametrize("shape", [(5, 2, 4), (3,), (5, 8), (5, 4, 3), ()])
def test_shapes_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="takes"):
        as_dataset(np.zeros(shape, np.int8), identity((1, 4, 2)))


def test_a_batch_takes_several_rows() -> None:
    dataset = as_dataset(np.arange(12, dtype=np.int8).reshape(6, 2), identity((3, 2)))
    assert len(dataset) == 2
    np.testing.assert_array_equal(dataset.sample(1)[0], [[6, 7], [8, 9], [10, 11]])


@pytest.mark.parametrize("name", ["image", "x", "x0", "input0", "input"])
def test_names(name: str) -> None:
    data = {name: np.zeros((2, 4), np.int8)}
    if name == "input":
        with pytest.raises(BadInput, match="no array has this name; there are: input"):
            as_dataset(data, identity((1, 4)))
    else:
        assert len(as_dataset(data, identity((1, 4)))) == 2


def test_all_problems_at_once() -> None:
    builder = ModelBuilder()
    a = builder.input("a", (1, 2), "int8", 0.5, 0)
    b = builder.input("b", (1, 2), "int8", 0.5, 0)
    y = builder.op(Reshape((2,)), [a], outputs=[((2,), "int8", 0.5, 0)])
    z = builder.op(Reshape((2,)), [b], outputs=[((2,), "int8", 0.5, 0)])
    model = builder.build(outputs=[y, z])
    with pytest.raises(BadInput) as caught:
        as_dataset({"a": np.zeros((3, 7)), "c": np.zeros((3, 2))}, model)
    assert len(caught.value.findings) == 2


@given(st.floats(-200, 200, width=32), st.floats(0.0078125, 8, width=32), st.integers(-128, 127))
def test_quantizing_rounds_halves_away_from_zero(x: float, scale: float, zero: int) -> None:
    tensor = Tensor("t", (1,), "int8", Quant.per_tensor(scale, zero))
    ratio = float(np.float32(x) / np.float32(scale))
    expected = int(abs(ratio) + 0.5) * (1 if ratio >= 0 else -1) + zero
    got = int(quantize_array(np.array([x], np.float32), tensor)[0])
    assert abs(got - min(max(expected, -128), 127)) <= (abs(ratio) % 1 > 0.4999)
    assert int(quantize_array(np.array([2.5 * 0.5], np.float32), identity_tensor())[0]) == 3


def identity_tensor() -> Tensor:
    return Tensor("t", (1,), "int8", Quant.per_tensor(0.5, 0))


@pytest.mark.parametrize(
    ("scale", "zero", "pixel", "q"),
    [(1 / 255, -128, 200, 72), (1.0, -128, 200, 72), (1 / 128, 0, 255, 127), (1 / 128, 0, 0, -128)],
)
def test_pixels_follow_the_range_of_the_input(scale: float, zero: int, pixel: int, q: int) -> None:
    model = identity((1, 4), "int8", scale, zero)
    data = np.full((1, 4), pixel, np.uint8)
    assert as_dataset(data, model).inputs[0].reshape(-1)[0] == q


def test_pixels_without_a_meaning_are_refused() -> None:
    with pytest.raises(BadInput, match="what a pixel means"):
        as_dataset(np.zeros((1, 4), np.uint8), identity((1, 4), "int8", 0.3, 10))


def test_random_samples_repeat_and_fill_the_range() -> None:
    model = identity((1, 1000))
    one, two = random_dataset(model), random_dataset(model)
    np.testing.assert_array_equal(one.inputs[0], two.inputs[0])
    assert one.inputs[0].min() == -128
    assert one.inputs[0].max() == 127
    assert "random" in one.source


def write_png(path: Path, pixels: np.ndarray, filter_kind: int) -> None:
    """A PNG whose rows all use one filter (PNG specification, section 9)."""
    height, width, channels = pixels.shape
    colour = {1: 0, 3: 2, 4: 6}[channels]
    rows = b""
    before = np.zeros(width * channels, int)
    for line in pixels.reshape(height, -1).astype(int):
        left = np.concatenate([np.zeros(channels, int), line[:-channels]])
        corner = np.concatenate([np.zeros(channels, int), before[:-channels]])
        p = left + before - corner
        candidates = np.stack([left, before, corner])
        order = np.abs(np.stack([p - left, p - before, p - corner])).argmin(0)
        guesses = [0, left, before, (left + before) // 2, candidates[order, np.arange(len(line))]]
        rows += (
            bytes([filter_kind]) + ((line - guesses[filter_kind]) % 256).astype(np.uint8).tobytes()
        )
        before = line

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    path.write_bytes(content + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("filter_kind", range(5))
def test_png(tmp_path: Path, channels: int, filter_kind: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, channels), dtype=np.uint8)
    write_png(tmp_path / "a.png", pixels, filter_kind)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), pixels)


def test_folders_of_classes_have_labels(tmp_path: Path) -> None:
    for label, name in enumerate(["cat", "dog"]):
        (tmp_path / name).mkdir()
        for i in range(2):
            pixels = np.full((2, 2, 1), 10 * label + i, np.uint8)
            write_png(tmp_path / name / f"{i}.png", pixels, 0)
    dataset = as_dataset(str(tmp_path), identity((1, 2, 2, 1), "int8", 1.0, -128))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    assert dataset.inputs[0][:, 0, 0, 0, 0].tolist() == [-128, -127, -118, -117]


def test_wav(tmp_path: Path) -> None:
    samples = np.array([0, 1, -32768, 32767], "<i2")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav"), samples)
    dataset = as_dataset(str(tmp_path), identity((1, 4), "int16", 1 / 32768, 0))
    np.testing.assert_array_equal(dataset.inputs[0].reshape(-1), samples)


def test_damaged_samples_are_all_named(tmp_path: Path) -> None:
    for name in ("a.png", "b.wav", "c.npy"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    with pytest.raises(BadInput) as caught:
        as_dataset(str(tmp_path), identity((1, 4)))
    assert len(caught.value.findings) == 3
