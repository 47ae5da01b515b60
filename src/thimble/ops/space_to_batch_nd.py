"""SPACE_TO_BATCH_ND, BATCH_TO_SPACE_ND: pixels of an image dealt out to batches, and back.

x [N, H, W, C] (or one spatial dimension, [N, H, C]), constant block [bh, bw] and paddings [2, 2]
-> y [bh * bw * N, (H + pads) / bh, (W + pads) / bw, C]; the inverse takes crops. What a dilated
convolution becomes in TensorFlow. Any dtype of fixed size; 8-bit padding is the zero point.

Exception: TFLM pads with 0, and keeps the shape that the file declares also where it is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
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
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, Shape, TensorType
from thimble.ops.pad import has_one_zero_point, pad_value, paddings_of


@dataclass(frozen=True)
class _Grid:
    """Block sizes and paddings of two spatial dimensions; one that is missing has block 1."""

    block: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    spatial: int  # how many dimensions there really are

    @classmethod
    def of(cls, block: Any, pads: Any) -> _Grid:
        sizes, pairs = ints(block), paddings_of(pads)
        spatial = len(sizes)
        h, w = (*sizes, 1)[:2]
        top, left = (*pairs, (0, 0))[:2]
        return cls((h, w), (top, left), spatial)

    def image(self, shape: Shape) -> tuple[int, int, int, int]:
        """[N, H, W, elements of a pixel] of a tensor."""
        h, w = (*shape[1 : 1 + self.spatial], 1)[:2]
        return shape[0], h, w, prod(shape[1 + self.spatial :])

    def restore(self, n: int, h: int, w: int, shape: Shape) -> Shape:
        """`image` undone, with the pixel of `shape`."""
        return (n, *(h, w)[: self.spatial], *shape[1 + self.spatial :])


def _blocks_fit(n: NodeView) -> bool:
    count = n.x(1).elements
    return (
        count in (1, 2)
        and len(n.x().shape) >= count + 1
        and tuple(n.x(2).shape) == (count, 2)
        and min(ints(n.constant(1))) >= 1
        and min(ints(n.constant(2))) >= 0
    )


def _padded_sizes(n: NodeView) -> tuple[int, int]:
    grid = _Grid.of(n.constant(1), n.constant(2))
    _, h, w, _ = grid.image(n.x().shape)
    return h + sum(grid.pads[0]), w + sum(grid.pads[1])


def _divides(n: NodeView) -> bool:
    block = _Grid.of(n.constant(1), n.constant(2)).block
    return all(size % b == 0 for size, b in zip(_padded_sizes(n), block))


_COMMON: tuple[Limit, ...] = (
    arity(3),
    moves(0),
    rank(2),
    constant_ints(1, "the block shape"),
    constant_ints(2, "paddings and crops"),
    Limit(
        "blocks of 1 or 2 dimensions must be at least 1, paddings and crops not negative",
        _blocks_fit,
        lambda n: f"{list(ints(n.constant(1)))}, {list(ints(n.constant(2)))}",
    ),
)


@dataclass(frozen=True)
class SpaceToBatchND(Op):
    name: ClassVar[str] = "SPACE_TO_BATCH_ND"
    options_table: ClassVar[str] = "SpaceToBatchNDOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    limits: ClassVar[Sequence[Limit]] = (
        *_COMMON,
        Limit(
            "the padded image must divide into blocks",
            _divides,
            lambda n: f"{_padded_sizes(n)} by {list(ints(n.constant(1)))}",
        ),
        shapes_as_inferred(),
        Limit("a quantized output must have one zero point", has_one_zero_point),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, block, pads = inputs[:3]
        assert x is not None
        assert block is not None
        assert pads is not None
        grid = _Grid.of(block.data, pads.data)
        n, h, w, _ = grid.image(x.shape)
        block_h, block_w = grid.block
        rows = (h + sum(grid.pads[0])) // block_h
        columns = (w + sum(grid.pads[1])) // block_w
        shape = grid.restore(n * block_h * block_w, rows, columns, x.shape)
        return (TensorType(shape, x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, block, pads = inputs[:3]
        assert x is not None
        grid = _Grid.of(block, pads)
        image = np.pad(x.reshape(grid.image(x.shape)), [(0, 0), *grid.pads, (0, 0)])
        block_h, block_w = grid.block
        n, h, w, c = image.shape
        y = image.reshape(n, h // block_h, block_h, w // block_w, block_w, c)
        y = y.transpose(2, 4, 0, 1, 3, 5)
        batches = n * block_h * block_w
        return (y.reshape(grid.restore(batches, h // block_h, w // block_w, x.shape)),)

    def lower(self, n: Lowering) -> None:
        if n.y().elements == 0:
            return
        grid = _Grid.of(n.constant(1), n.constant(2))
        batch, in_h, in_w, pixel = grid.image(n.x().shape)
        _, out_h, out_w, _ = grid.image(n.y().shape)
        n.call(
            "thm_space_to_batch",
            x=n.input(),
            value=n.const(pad_value(n.y()), "pad value"),
            y=n.output(),
            batch=batch,
            in_h=in_h,
            in_w=in_w,
            out_h=out_h,
            out_w=out_w,
            block_h=grid.block[0],
            block_w=grid.block[1],
            pad_top=grid.pads[0][0],
            pad_left=grid.pads[1][0],
            pixel=pixel * item_bytes(n),
            item=item_bytes(n),
        )


def _crops_fit(n: NodeView) -> bool:
    grid = _Grid.of(n.constant(1), n.constant(2))
    batches, h, w, _ = grid.image(n.x().shape)
    return batches % prod(grid.block) == 0 and all(
        sum(crop) <= size * b for crop, size, b in zip(grid.pads, (h, w), grid.block)
    )


@dataclass(frozen=True)
class BatchToSpaceND(Op):
    name: ClassVar[str] = "BATCH_TO_SPACE_ND"
    options_table: ClassVar[str] = "BatchToSpaceNDOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    limits: ClassVar[Sequence[Limit]] = (
        *_COMMON,
        Limit(
            "the batches must divide into blocks, and crops leave something",
            _crops_fit,
            lambda n: f"{list(n.x().shape)} by {list(ints(n.constant(1)))}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, block, crops = inputs[:3]
        assert x is not None
        assert block is not None
        assert crops is not None
        grid = _Grid.of(block.data, crops.data)
        n, h, w, _ = grid.image(x.shape)
        block_h, block_w = grid.block
        rows = h * block_h - sum(grid.pads[0])
        columns = w * block_w - sum(grid.pads[1])
        shape = grid.restore(n // (block_h * block_w), rows, columns, x.shape)
        return (TensorType(shape, x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, block, crops = inputs[:3]
        assert x is not None
        grid = _Grid.of(block, crops)
        block_h, block_w = grid.block
        n, h, w, c = grid.image(x.shape)
        batch = n // (block_h * block_w)
        y = x.reshape(block_h, block_w, batch, h, w, c).transpose(2, 3, 0, 4, 1, 5)
        y = y.reshape(batch, h * block_h, w * block_w, c)
        (top, bottom), (left, right) = grid.pads
        y = y[:, top : h * block_h - bottom, left : w * block_w - right]
        return (y.reshape(grid.restore(batch, y.shape[1], y.shape[2], x.shape)),)

    def lower(self, n: Lowering) -> None:
        if n.y().elements == 0:
            return
        grid = _Grid.of(n.constant(1), n.constant(2))
        _, in_h, in_w, pixel = grid.image(n.x().shape)
        batch, out_h, out_w, _ = grid.image(n.y().shape)
        n.call(
            "thm_batch_to_space",
            x=n.input(),
            y=n.output(),
            batch=batch,
            in_h=in_h,
            in_w=in_w,
            out_h=out_h,
            out_w=out_w,
            block_h=grid.block[0],
            block_w=grid.block[1],
            pad_top=grid.pads[0][0],
            pad_left=grid.pads[1][0],
            pixel=pixel * item_bytes(n),
        )


def thm_space_to_batch(
    p: Any, y_first: int, y_count: int, x: Array, value: Array, y: Array
) -> None:
    """Twin of the kernel of the same name, on bytes."""
    cells = p.batch * p.in_h * p.in_w * p.pixel
    image = x[:cells].reshape(p.batch, p.in_h, p.in_w, p.pixel)
    size = p.batch * p.out_h * p.out_w * p.pixel
    for phase in range(p.block_h * p.block_w):
        rows = np.arange(p.out_h) * p.block_h + phase // p.block_w - p.pad_top
        columns = np.arange(p.out_w) * p.block_w + phase % p.block_w - p.pad_left
        inside = ((rows >= 0) & (rows < p.in_h))[:, None] & (columns >= 0) & (columns < p.in_w)
        blank = np.resize(value[: p.item], (p.batch, p.out_h, p.out_w, p.pixel))
        r, c = np.nonzero(inside)
        blank[:, r, c] = image[:, rows[r], columns[c]]
        y[phase * size : (phase + 1) * size] = blank.reshape(-1)


def thm_batch_to_space(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    phases = p.block_h * p.block_w
    cells = phases * p.batch * p.in_h * p.in_w * p.pixel
    image = x[:cells].reshape(phases, p.batch, p.in_h, p.in_w, p.pixel)
    rows = (np.arange(p.out_h) + p.pad_top)[:, None]
    columns = np.arange(p.out_w) + p.pad_left
    phase = rows % p.block_h * p.block_w + columns % p.block_w
    picked = image[phase, :, rows // p.block_h, columns // p.block_w]
    flat = picked.transpose(2, 0, 1, 3).reshape(-1)
    y[: flat.size] = flat
