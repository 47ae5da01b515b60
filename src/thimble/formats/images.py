"""Images as samples of a model: read, resized and made grey as its input wants them.

Pillow does everything but plain 8-bit PNG files that fit already, for which no library is needed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from thimble.errors import Finding, ToolMissing
from thimble.formats.png import NotPlain, read_png
from thimble.graph import Tensor

Array = np.ndarray

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # channels -> Pillow's mode
PIXEL_MEANINGS = {
    "raw": "taken as they are",
    "unit": "divided by 255",
    "signed": "mapped to [-1, 1]",
}


def image_shape(tensor: Tensor) -> tuple[int, int, int] | None:
    """(height, width, channels) of an image input [1, H, W, C], [H, W, C] or [1, H, W]."""
    shape = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or shape[2] not in MODES or 0 in shape:
        return None
    return shape[0], shape[1], shape[2]


def to_real(x: Array, pixels: str) -> Array:
    """uint8 `x` as float32: raw x, unit x / 255 in [0, 1], signed x / 127.5 - 1 in [-1, 1]."""
    real = x.astype(np.float32)
    if pixels == "unit":
        return real / np.float32(255)
    if pixels == "signed":
        return real / np.float32(127.5) - np.float32(1)
    return real


class ImageReader:
    """Reads images as uint8 [height, width, channels] of `shape` (as they are where it is None)
    and counts what it did to them.
    """

    def __init__(self, shape: tuple[int, int, int] | None):
        self.shape = shape
        self.read_images = 0
        self.done: Counter[str] = Counter()

    def read(self, path: Path) -> Array:
        """The image in `path`. Raises OSError or ValueError for a damaged one, ToolMissing."""
        self.read_images += 1
        if path.suffix.lower() == ".png":
            try:
                pixels = read_png(path)
            except NotPlain:
                pixels = None
            if pixels is not None and self.shape in (None, pixels.shape):
                return pixels
        return self._with_pillow(path)

    def _with_pillow(self, path: Path) -> Array:
        image_module = _pillow(path)
        with image_module.open(path) as file:
            image: Any = file
            if self.shape is None:
                return _array(image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB"))
            height, width, channels = self.shape
            mode = MODES[channels]
            if image.mode.startswith(("I", "F")):  # 16 bits: Pillow would clip, not scale
                values = np.asarray(image, np.float64) / 257
                image = image_module.fromarray(np.round(values).clip(0, 255).astype(np.uint8))
                self.done["brought from 16 to 8 bits"] += 1
            if image.mode != mode:
                if channels == 1 and image.mode not in ("1", "L"):
                    self.done["made grey"] += 1
                elif channels > 1 and image.mode in ("1", "L"):
                    self.done["grey repeated in every channel"] += 1
                image = image.convert(mode)
            if image.size != (width, height):
                self.done[f"resized to {width} x {height} (bilinear, whole image)"] += 1
                image = image.resize((width, height), image_module.Resampling.BILINEAR)
            return _array(image)

    def notes(self) -> tuple[str, ...]:
        """What was done to how many images."""
        if not self.read_images:
            return ()
        done = [f"{what}: {count}" for what, count in self.done.items()]
        return (f"{self.read_images} images; {'; '.join(done) or 'pixels as they are'}",)


def _array(image: Any) -> Array:
    pixels = np.array(image, np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


def _pillow(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ToolMissing(
            Finding(
                "tool-missing",
                str(path),
                "needs Pillow: it is no 8-bit PNG of the size and channels of the model's input",
                "pip install 'thimble-ml[images]'",
            )
        ) from error
    return Image
