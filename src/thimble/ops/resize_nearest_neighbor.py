"""RESIZE_NEAREST_NEIGHBOR: y[r, c] = x[floor(r * in_h / out_h), floor(c * in_w / out_w)].

x [N, H, W, C], constant size [2] -> y [N, size[0], size[1], C], any dtype of fixed size. With
align_corners the factor is (in - 1) / (out - 1) and positions are rounded; half_pixel_centers
adds 0.5 to r and c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import (
    arity,
    constant_ints,
    ints,
    item_bytes,
    moves,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType
from thimble.ops.resize_bilinear import SIZES, resized, scale_f32


@dataclass(frozen=True)
class ResizeNearestNeighbor(Op):
    name: ClassVar[str] = "RESIZE_NEAREST_NEIGHBOR"
    options_table: ClassVar[str] = "ResizeNearestNeighborOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    align_corners: bool = False
    half_pixel_centers: bool = False

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        rank(4, 4),
        constant_ints(1, "the size", 2),
        SIZES,
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        return resized(inputs[0], inputs[1])

    def _sources(self, size: int, out: int) -> Array:
        """The index in x of every output position."""
        offset = np.float32(0.5 if self.half_pixel_centers else 0)
        factor = scale_f32(size, out, self.align_corners)
        t = (np.arange(out).astype(np.float32) + offset) * factor
        whole = np.floor(t)
        if self.align_corners:
            whole += t - whole >= 0.5
        return np.clip(whole, 0, size - 1).astype(np.int32)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, size = inputs[0], ints(inputs[1])
        assert x is not None
        rows, columns = self._sources(x.shape[1], size[0]), self._sources(x.shape[2], size[1])
        return (x[:, rows][:, :, columns],)

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        batch, in_h, in_w, depth = x.shape
        _, out_h, out_w, _ = y.shape
        n.call(
            "thm_resize_nearest_neighbor",
            rows=out_h,
            batches=batch,
            x=replace(n.input(), batch_stride=x.bytes // batch),
            y=replace(n.output(), batch_stride=y.bytes // batch),
            source_row=n.const(self._sources(in_h, out_h), "rows"),
            source_column=n.const(self._sources(in_w, out_w), "columns"),
            in_w=in_w,
            out_w=out_w,
            pixel=depth * item_bytes(n),
            x_ring=in_h,
            y_ring=out_h,
        )


def thm_resize_nearest_neighbor(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    source_row: Array,
    source_column: Array,
    y: Array,
) -> None:
    """Twin of the kernel of the same name, on bytes."""
    pixels = x[: p.x_ring * p.in_w * p.pixel].reshape(p.x_ring, p.in_w, p.pixel)
    size = p.out_w * p.pixel
    for r in range(y_first, y_first + y_count):
        row = pixels[source_row[r] % p.x_ring][source_column[: p.out_w]]
        y[r % p.y_ring * size :][:size] = row.reshape(-1)
