"""PAD, PADV2: y = x with elements of a pad value around it in every dimension.

x [...], constant paddings [rank, 2] -> y [...]. PAD puts real zero (8-bit quantized: the zero
point, otherwise 0), PADV2 its third input. Any dtype of fixed size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import strided_copy
from thimble.ops.block_copy import (
    arity,
    constant_ints,
    ints,
    item_bytes,
    moves,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, TensorType
from thimble.program import Arg, Window


def paddings_of(values: Any) -> list[tuple[int, int]]:
    """(before, after) for each dimension."""
    flat = ints(values)
    return list(zip(flat[::2], flat[1::2]))


PADDINGS = (
    Limit(
        "paddings must be [rank, 2] and not negative",
        lambda n: (
            tuple(n.x(1).shape) == (len(n.x().shape), 2)
            and min(ints(n.constant(1)), default=0) >= 0
        ),
        lambda n: f"{list(ints(n.constant(1)))} for {list(n.x().shape)}",
    ),
)


def pad_value(tensor: Tensor) -> Array:
    """Real zero as one element of `tensor`'s dtype."""
    quantized = tensor.dtype in ("int8", "uint8") and tensor.quant is not None
    return np.array([tensor.zero_point if quantized else 0], tensor.dtype)


def has_one_zero_point(n: NodeView) -> bool:
    """Whether real zero is one value for the whole output."""
    y = n.y()
    return y.dtype not in ("int8", "uint8") or y.quant is None or len(y.quant.zero_point) == 1


def lower_pad(n: Lowering, value: Arg, pads: Sequence[tuple[int, int]]) -> None:
    """Images and sequences row by row; anything else is filled, then copied into."""
    x, y, item = n.x(), n.y(), item_bytes(n)
    if y.elements == 0:
        return
    dims = len(x.shape)
    if dims not in (3, 4) or pads[0] != (0, 0) or x.elements == 0:
        strided_copy.fill(n, value, n.output(), item, y.elements)
        y_steps = strided_copy.steps(y.shape)
        start = sum(before * step for (before, _), step in zip(pads, y_steps))
        loops = [
            strided_copy.Dim(*dim) for dim in zip(x.shape, strided_copy.steps(x.shape), y_steps)
        ]
        strided_copy.copy(n, n.input(), n.output(), item, loops, y_start=start)
        return
    pixel = prod(y.shape[3:])  # elements of y to one index of dimension 2
    padded_inside = dims == 4 and pads[3] != (0, 0)
    start = pads[2][0] * pixel + (pads[3][0] if padded_inside else 0)
    n.call(
        "thm_pad",
        rows=y.shape[1],
        batches=y.shape[0],
        windows={"x": Window(1, pads[1][0], 1)},
        x=replace(n.input(), batch_stride=x.bytes // x.shape[0]),
        value=value,
        y=replace(n.output(), batch_stride=y.bytes // y.shape[0]),
        item=item,
        blocks=x.shape[2] if padded_inside else 1,
        block=(x.shape[3] if padded_inside else prod(x.shape[2:])) * item,
        x_rows=x.shape[1],
        x_ring=x.shape[1],
        y_start=start * item,
        y_step=pixel * item,
        y_row=prod(y.shape[2:]) * item,
        y_ring=y.shape[1],
        pad_top=pads[1][0],
    )


def padded(x: Tensor | None, paddings: Tensor | None) -> tuple[TensorType, ...]:
    """The type of x with `paddings` around it."""
    assert x is not None
    assert paddings is not None
    pads = paddings_of(paddings.data)
    return (TensorType(tuple(a + d + b for d, (a, b) in zip(x.shape, pads)), x.dtype),)


@dataclass(frozen=True)
class Pad(Op):
    name: ClassVar[str] = "PAD"
    options_table: ClassVar[str] = "PadOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        rank(0),
        constant_ints(1, "the paddings"),
        *PADDINGS,
        shapes_as_inferred(),
        Limit("a quantized output must have one zero point", has_one_zero_point),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        return padded(inputs[0], inputs[1])

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (np.pad(x, paddings_of(inputs[1])) if x.ndim else x,)

    def lower(self, n: Lowering) -> None:
        lower_pad(n, n.const(pad_value(n.y()), "pad value"), paddings_of(n.constant(1)))


def _value_fits(n: NodeView) -> bool:
    value, y = n.x(2), n.y()
    if y.dtype not in ("int8", "uint8") or y.quant is None or value.quant is None:
        return True
    return y.quant.same_as(value.quant)


@dataclass(frozen=True)
class PadV2(Op):
    name: ClassVar[str] = "PADV2"
    options_table: ClassVar[str] = "PadV2Options"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0, 2))

    limits: ClassVar[Sequence[Limit]] = (
        arity(3),
        moves(0, 2),
        rank(0),
        constant_ints(1, "the paddings"),
        *PADDINGS,
        shapes_as_inferred(),
        Limit(
            "the pad value must be one element",
            lambda n: n.x(2).elements == 1,
            lambda n: str(list(n.x(2).shape)),
        ),
        Limit("the pad value must have the scale and zero point of the output", _value_fits),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        return padded(inputs[0], inputs[1])

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, value = inputs[0], inputs[2]
        assert x is not None
        assert value is not None
        pads = paddings_of(inputs[1])
        return (np.pad(x, pads, constant_values=value.reshape(())) if x.ndim else x,)

    def lower(self, n: Lowering) -> None:
        lower_pad(n, n.input(2), paddings_of(n.constant(1)))


def thm_pad(p: Any, y_first: int, y_count: int, x: Array, value: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    blank = np.resize(value[: p.item], p.y_row)
    blocks = np.arange(p.blocks)[:, None]
    run = np.arange(p.block)
    for r in range(y_first, y_first + y_count):
        row = blank.copy()
        if 0 <= r - p.pad_top < p.x_rows:
            start = (r - p.pad_top) % p.x_ring * p.blocks * p.block
            row[p.y_start + blocks * p.y_step + run] = x[start + blocks * p.block + run]
        y[r % p.y_ring * p.y_row :][: p.y_row] = row
