"""EXPAND_DIMS: y = x with a dimension of size 1 inserted at a constant axis.

Any dtype; needs no code where input and output can share memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import (
    arity,
    axis_in,
    constant_ints,
    ints,
    moves,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, Op, QuantRule, Shape, TensorType


def _expanded(shape: Shape, axis: int) -> Shape:
    axis %= len(shape) + 1
    return (*shape[:axis], 1, *shape[axis:])


@dataclass(frozen=True)
class ExpandDims(Op):
    name: ClassVar[str] = "EXPAND_DIMS"
    options_table: ClassVar[str] = "ExpandDimsOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))
    is_alias: ClassVar[bool] = True

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        constant_ints(1, "the axis", 1),
        Limit(
            "the axis must be one of the output's",
            lambda n: axis_in(ints(n.constant(1))[0], len(n.x().shape) + 1),
            lambda n: f"{ints(n.constant(1))[0]} of {len(n.x().shape) + 1}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, axis = inputs[0], inputs[1]
        assert x is not None
        assert axis is not None
        return (TensorType(_expanded(x.shape, ints(axis.data)[0]), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (x.reshape(_expanded(x.shape, ints(inputs[1])[0])),)

    def lower(self, n: Lowering) -> None:
        if not n.is_aliased():
            n.call("thm_copy", x=n.input(), y=n.output(), bytes=n.y().bytes)
