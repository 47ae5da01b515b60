"""REVERSE_V2: y = x backwards along the constant axes.

x [...], axes [k]. Any dtype of fixed size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import strided_copy
from thimble.ops.block_copy import (
    arity,
    axis_in,
    constant_ints,
    ints,
    item_bytes,
    moves,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, TensorType


def _axes_fit(n: NodeView) -> bool:
    axes, dims = ints(n.constant(1)), len(n.x().shape)
    return all(axis_in(a, dims) for a in axes) and len({a % dims for a in axes}) == len(axes)


@dataclass(frozen=True)
class ReverseV2(Op):
    name: ClassVar[str] = "REVERSE_V2"
    options_table: ClassVar[str] = "ReverseV2Options"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        rank(1),
        constant_ints(1, "the axes"),
        Limit(
            "the axes must be dimensions of the input, each once",
            _axes_fit,
            lambda n: f"{list(ints(n.constant(1)))} of {list(n.x().shape)}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(x.shape, x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (np.flip(x, ints(inputs[1])),)

    def lower(self, n: Lowering) -> None:
        x = n.x()
        x_steps = list(strided_copy.steps(x.shape))
        start = 0
        for axis in {a % len(x.shape) for a in ints(n.constant(1))}:
            start += (x.shape[axis] - 1) * x_steps[axis]
            x_steps[axis] = -x_steps[axis]
        dims = strided_copy.into(x.shape, x_steps)
        rows = strided_copy.rows_of(x.shape, x.shape, dims, start)
        strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims, start, rows=rows)
