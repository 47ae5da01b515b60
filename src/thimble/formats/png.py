"""8-bit PNG files without a library: what the samples of a data set usually are."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

Array = np.ndarray

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples per pixel


class NotPlain(ValueError):
    """A PNG that is interlaced or has other than 8 bits."""


def read_png(path: Path) -> Array:
    """Pixels [height, width, channels] uint8 of an 8-bit PNG that is not interlaced (palette
    resolved).
    """
    data = path.read_bytes()
    if data[:8] != PNG_MAGIC:
        raise ValueError("is not a PNG file")
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks[kind] = chunks.get(kind, b"") + data[at + 8 : at + 8 + length]
        at += length + 12
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[b"IHDR"][:13])
    if depth != 8 or interlace or colour not in PNG_CHANNELS:
        raise NotPlain(
            f"{depth} bits, interlace {interlace}: only 8 bits without interlace are read"
        )
    channels = PNG_CHANNELS[colour]
    rows = zlib.decompress(chunks.get(b"IDAT", b""))
    stride = width * channels
    if len(rows) < (stride + 1) * height:
        raise ValueError("the image data are cut short")
    image = np.zeros((height, stride), np.uint8)
    before = bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        before = _unfilter(rows[start], rows[start + 1 : start + 1 + stride], before, channels)
        image[y] = np.frombuffer(bytes(before), np.uint8)
    if colour == 3:
        palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
        return palette[np.minimum(image, len(palette) - 1)]
    return image.reshape(height, width, channels)


def _unfilter(kind: int, line: bytes, before: bytearray, step: int) -> bytearray:
    """One scan line without its filter (PNG specification, section 9)."""
    out = bytearray(line)
    for i in range(len(out)):
        left = out[i - step] if i >= step else 0
        up = before[i]
        corner = before[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        elif kind == 4:
            p = left + up - corner
            ranked = ((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))
            guess = min(ranked)[2]
        else:
            guess = 0
        out[i] = (out[i] + guess) & 255
    return out
