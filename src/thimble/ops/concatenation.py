"""CONCATENATION: y = the inputs joined along an axis.

x_i [..., n_i, ...] -> y [..., sum n_i, ...], any dtype of fixed size; quantized inputs must have
y's scale and zero point, because nothing is rescaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import (
    arity,
    axis_in,
    concatenated,
    item_bytes,
    moves,
    part,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, TensorType

MAX_INPUTS = 1024


def quantized_alike(n: NodeView) -> bool:
    """Whether every int8 or uint8 input has the output's scale and zero point (or none has)."""
    y = n.y()
    if y.dtype not in ("int8", "uint8"):
        return True
    return all(
        x is not None and (x.quant is None if y.quant is None else y.quant.same_as(x.quant))
        for x in n.inputs
    )


def _shapes_match(n: NodeView) -> bool:
    shapes = [list(n.x(i).shape) for i in range(len(n.inputs))]
    for shape in shapes:
        if len(shape) != len(shapes[0]):
            return False
        shape[n.op.axis] = 0
    return all(shape == shapes[0] for shape in shapes)


@dataclass(frozen=True)
class Concatenation(Op):
    name: ClassVar[str] = "CONCATENATION"
    options_table: ClassVar[str] = "ConcatenationOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same")

    axis: int = 0
    fused_activation_function: str = "NONE"

    limits: ClassVar[Sequence[Limit]] = (
        arity(1, MAX_INPUTS),
        moves(),
        rank(1),
        Limit(
            "the axis must be one of the input's",
            lambda n: axis_in(n.op.axis, len(n.x().shape)),
            lambda n: f"{n.op.axis} of {len(n.x().shape)}",
        ),
        Limit("inputs must agree in all other dimensions", _shapes_match),
        shapes_as_inferred(),
        Limit(
            "a fused activation is not supported",
            lambda n: n.op.fused_activation_function == "NONE",
            lambda n: n.op.fused_activation_function,
        ),
        Limit(
            "int8 and uint8 inputs must have the scale and zero point of the output",
            quantized_alike,
            hint="quantize again: CONCATENATION never rescales",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        given = [x for x in inputs if x is not None]
        axis = self.axis % len(given[0].shape)
        return (TensorType(concatenated([x.shape for x in given], axis), given[0].dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        return (np.concatenate([x for x in inputs if x is not None], self.axis),)

    def lower(self, n: Lowering) -> None:
        whole = n.y().shape
        axis = self.axis % len(whole)
        first = 0
        for i in range(len(n.inputs)):
            count = n.x(i).shape[axis]
            x, y = n.input(i), n.output()
            part(n, x, y, whole, axis, first, count, item_bytes(n), join=True)
            first += count
