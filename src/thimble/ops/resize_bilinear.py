"""RESIZE_BILINEAR: y[r, c] = x at (r * in_h / out_h, c * in_w / out_w), linear between 4 pixels.

x [N, H, W, C], constant size [2] -> y [N, size[0], size[1], C], float32, int8 and int16. With
align_corners the factor is (in - 1) / (out - 1); with half_pixel_centers positions are those of
pixel centres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import arity, constant_ints, ints, rank, shapes_as_inferred
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType, types

MAX_SIZE = 1 << 15  # keeps positions in 1/1024 pixel within int32

SIZES = Limit(
    f"input and output must be 1 to {MAX_SIZE} pixels high and wide",
    lambda n: (
        all(1 <= size <= MAX_SIZE for size in (*n.x().shape[1:3], *ints(n.constant(1))))
        and n.x().elements > 0
    ),
    lambda n: f"{list(n.x().shape)} to {list(ints(n.constant(1)))}",
)


def resized(x: Tensor | None, size: Tensor | None) -> tuple[TensorType, ...]:
    """The type of images x [N, H, W, C] at `size`."""
    assert x is not None
    assert size is not None
    height, width = ints(size.data)
    return (TensorType((x.shape[0], height, width, x.shape[3]), x.dtype),)


def scale_f32(size: int, out: int, align_corners: bool) -> Any:
    """Pixels of x to one of y, as float32 arithmetic gives it."""
    if align_corners and out > 1:
        return np.float32(size - 1) / np.float32(out - 1)
    return np.float32(size) / np.float32(out)


def _scale_1024(size: int, out: int, align_corners: bool) -> int:
    if align_corners and out > 1:
        return (1024 * (size - 1) + (out - 1) // 2) // (out - 1)
    return (1024 * size + out // 2) // out


@dataclass(frozen=True)
class ResizeBilinear(Op):
    name: ClassVar[str] = "RESIZE_BILINEAR"
    options_table: ClassVar[str] = "ResizeBilinearOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    align_corners: bool = False
    half_pixel_centers: bool = False

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        types("float32 int32 -> float32", "int8 int32 -> int8", "int16 int32 -> int16"),
        rank(4, 4),
        constant_ints(1, "the size", 2),
        SIZES,
        shapes_as_inferred(),
        Limit(
            "align_corners and half_pixel_centers exclude each other",
            lambda n: not (n.op.align_corners and n.op.half_pixel_centers),
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        return resized(inputs[0], inputs[1])

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, size = inputs[0], ints(inputs[1])
        assert x is not None
        rows = self._taps(x.shape[1], size[0])
        columns = self._taps(x.shape[2], size[1])
        y = np.zeros((x.shape[0], *size, x.shape[3]), np.float32)
        for c, x_weight in columns:  # top left, bottom left, top right, bottom right
            for r, y_weight in rows:
                y += x[:, r][:, :, c] * y_weight[:, None, None] * x_weight[:, None]
        return (y,)

    def _taps(self, size: int, out: int) -> list[tuple[Array, Array]]:
        """(index, float32 weight) of the lower and the upper neighbour of every output position."""
        factor = scale_f32(size, out, self.align_corners)
        i = np.arange(out).astype(np.float32)
        half = np.float32(0.5)
        t = (i + half) * factor - half if self.half_pixel_centers else i * factor
        low = np.clip(np.floor(t), 0, size - 1).astype(np.int64)
        high = np.clip(np.ceil(t), 0, size - 1).astype(np.int64)
        weight = t - low.astype(np.float32)
        return [(low, np.float32(1) - weight), (high, weight)]

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        batch, in_h, in_w, depth = x.shape
        _, out_h, out_w, _ = y.shape
        common: dict[str, Any] = {
            "rows": out_h,
            "batches": batch,
            "x": replace(n.input(), batch_stride=x.bytes // batch),
            "y": replace(n.output(), batch_stride=y.bytes // batch),
            "in_h": in_h,
            "in_w": in_w,
            "out_w": out_w,
            "depth": depth,
            "x_ring": in_h,
            "y_ring": out_h,
        }
        if x.dtype == "float32":
            n.call(
                "thm_resize_bilinear_f32",
                scale_h=float(scale_f32(in_h, out_h, self.align_corners)),
                scale_w=float(scale_f32(in_w, out_w, self.align_corners)),
                half_pixel_centers=int(self.half_pixel_centers),
                **common,
            )
            return
        for name, size, out in (("h", in_h, out_h), ("w", in_w, out_w)):
            scale = _scale_1024(size, out, self.align_corners)
            common[f"scale_{name}"] = scale
            common[f"offset_{name}"] = scale // 2 - 512 if self.half_pixel_centers else 0
        n.call(f"thm_resize_bilinear_{'s8' if x.dtype == 'int8' else 's16'}", **common)


# --- twins ---------------------------------------------------------------------------------------


def _neighbours(i: Array, scale: int, offset: int, size: int) -> tuple[Array, Array, Array]:
    t = np.clip(i * scale + offset, 0, (size - 1) * 1024)
    return t >> 10, np.minimum((t + 1023) >> 10, size - 1), t & 1023


def _resize_int(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    columns = np.arange(p.out_w)
    left, right, across = _neighbours(columns, p.scale_w, p.offset_w, p.in_w)
    pixels = x[: p.x_ring * p.in_w * p.depth].reshape(p.x_ring, p.in_w, p.depth)
    for r in range(y_first, y_first + y_count):
        low, high, down = _neighbours(np.array(r), p.scale_h, p.offset_h, p.in_h)
        top = pixels[low % p.x_ring].astype(np.int64)
        bottom = pixels[high % p.x_ring].astype(np.int64)
        mixed = top * (1024 - down) + bottom * down
        total = mixed[left] * (1024 - across[:, None]) + mixed[right] * across[:, None]
        nudged = total + np.where(total > 0, 1 << 19, -(1 << 19))
        rounded = np.sign(nudged) * (np.abs(nudged) >> 20)
        size = p.out_w * p.depth
        y[r % p.y_ring * size :][:size] = rounded.reshape(-1)


def thm_resize_bilinear_s8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _resize_int(p, y_first, y_count, x, y)


def thm_resize_bilinear_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _resize_int(p, y_first, y_count, x, y)


def _source(i: Array, scale: np.float32, half_pixel_centers: int) -> Array:
    i = i.astype(np.float32)
    half = np.float32(0.5)
    return (i + half) * scale - half if half_pixel_centers else i * scale


def _bounds(t: Array, size: int) -> tuple[Array, Array]:
    whole = np.maximum(t, np.float32(0)).astype(np.int64)
    above = whole + (whole.astype(np.float32) < t)
    return np.minimum(whole, size - 1), np.minimum(above, size - 1)


def thm_resize_bilinear_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    one = np.float32(1)
    h = _source(np.arange(p.out_w), np.float32(p.scale_w), p.half_pixel_centers)
    left, right = _bounds(h, p.in_w)
    forth = (h - left.astype(np.float32))[:, None]
    back = one - forth
    pixels = x[: p.x_ring * p.in_w * p.depth].reshape(p.x_ring, p.in_w, p.depth)
    for r in range(y_first, y_first + y_count):
        v = _source(np.array([r]), np.float32(p.scale_h), p.half_pixel_centers)
        low, high = _bounds(v, p.in_h)
        down = v - low.astype(np.float32)
        up = one - down
        top, bottom = pixels[low[0] % p.x_ring], pixels[high[0] % p.x_ring]
        row = top[left] * up * back + bottom[left] * down * back
        row = row + top[right] * up * forth + bottom[right] * down * forth
        y[r % p.y_ring * row.size :][: row.size] = row.reshape(-1)
