"""Folders of images: brought to the input of the model, and the notes say how."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder

import thimble
from thimble.errors import BadInput, ToolMissing
from thimble.formats.data import as_dataset
from thimble.graph import Model
from thimble.ops.reshape import Reshape


@pytest.fixture(scope="module")
def pillow() -> Any:
    """Pillow's Image module."""
    return pytest.importorskip("PIL.Image", reason="PILLOW MISSING: install thimble-ml[images]")


def taking(shape: tuple[int, ...], dtype: str = "float32") -> Model:
    """A model that gives an image back; the quantized ones take [0, 1]."""
    builder = ModelBuilder()
    quant = (None, 0) if dtype == "float32" else (1 / 255, -128)
    x = builder.input("image", shape, dtype, *quant)
    size = int(np.prod(shape))
    y = builder.op(Reshape((1, size)), [x], outputs=[((1, size), dtype, *quant)])
    return builder.build(outputs=[y])


def smooth(height: int, width: int) -> np.ndarray:
    """An RGB image whose channels are ramps."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [255 * rows / height, 255 * columns / width, 127 + 0 * rows]
    return np.stack(planes, 2).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".jpeg", ".PNG"])
def test_every_format(suffix: str, pillow: Any, tmp_path: Path) -> None:
    pixels = smooth(8, 12)
    pillow.fromarray(pixels).save(tmp_path / f"a{suffix}", quality=100, subsampling=0)
    x = as_dataset(str(tmp_path), taking((1, 8, 12, 3))).inputs[0]
    far = np.abs(x[0, 0] - pixels.astype(np.float32)).max()
    assert far <= (8 if "j" in suffix else 0)


def test_resized_grey_and_said_so(pillow: Any, tmp_path: Path) -> None:
    for name, shape in (("cat", (16, 16)), ("dog", (8, 24))):
        (tmp_path / name).mkdir()
        pillow.fromarray(smooth(*shape)).save(tmp_path / name / "a.png")
        pillow.fromarray(np.full(shape, 200, np.uint8)).save(tmp_path / name / "b.bmp")
    (tmp_path / ".hidden").mkdir()
    dataset = as_dataset(str(tmp_path), taking((1, 8, 8, 1), "int8"))
    assert dataset.inputs[0].shape == (4, 1, 8, 8, 1)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    assert dataset.classes == ("cat", "dog")
    assert (dataset.inputs[0][1] == 200 - 128).all()
    grey = pillow.fromarray(smooth(16, 16)).convert("L").resize((8, 8), 2)
    np.testing.assert_array_equal(
        dataset.inputs[0][0].reshape(8, 8), np.asarray(grey).astype(int) - 128
    )
    text = "; ".join(dataset.notes)
    assert "resized to 8 x 8 (bilinear, whole image): 4" in text
    assert "made grey: 2" in text
    assert "pixels divided by 255" in text
    assert "0 cat, 1 dog" in text


def test_palettes_16_bits_and_grey_for_colour(pillow: Any, tmp_path: Path) -> None:
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    pillow.fromarray(ramp).save(tmp_path / "a.png")
    pillow.fromarray(smooth(8, 8)).quantize(64).save(tmp_path / "b.png")
    x = as_dataset(str(tmp_path), taking((1, 8, 8, 3))).inputs[0]
    np.testing.assert_array_equal(x[0, 0, :, :, 1], np.round(ramp / 257))
    assert np.abs(x[1, 0] - smooth(8, 8)).max() < 40
    dataset = as_dataset(str(tmp_path), taking((1, 8, 8, 3)))
    assert "grey repeated in every channel: 1" in "; ".join(dataset.notes)


@pytest.mark.parametrize(
    ("pixels", "low", "high"), [("raw", 0, 255), ("unit", 0, 1), ("signed", -1, 1)]
)
def test_pixels_mean_what_is_asked(pixels: str, low: float, high: float) -> None:
    data = np.array([[0, 255]], np.uint8)
    dataset = as_dataset(data, taking((1, 2)), pixels)
    assert dataset.inputs[0].reshape(-1).tolist() == [low, high]
    assert any("pixels" in note for note in dataset.notes)
    stored = as_dataset(data, taking((1, 2), "int8"), pixels).inputs[0].reshape(-1)
    assert stored.tolist() == [max(-128, 255 * low - 128), min(127, 255 * high - 128)]


def test_images_are_evaluated(pillow: Any, tmp_path: Path) -> None:
    (tmp_path / "a_first").mkdir()
    (tmp_path / "b_second").mkdir()
    for i in range(3):
        pillow.fromarray(np.array([[9 + i, 0]], np.uint8)).save(tmp_path / "a_first" / f"{i}.png")
        pillow.fromarray(np.array([[0, 9]], np.uint8)).save(tmp_path / "b_second" / f"{i}.bmp")
    report = thimble.evaluate(
        taking((1, 1, 2, 1)), str(tmp_path), "program", pixels="unit", task="classes"
    )
    assert report.accuracy == 1
    assert [c.name for c in report.per_class] == ["a_first", "b_second"]


def test_damaged_images_are_named(pillow: Any, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.bmp", "c.png"):
        (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(BadInput) as caught:
        as_dataset(str(tmp_path), taking((1, 8, 8, 3)))
    assert len(caught.value.findings) == 3


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ToolMissing, match=r"thimble-ml\[images\]"):
        as_dataset(str(tmp_path), taking((1, 8, 8, 3)))
