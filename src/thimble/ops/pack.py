"""PACK: y = the inputs stacked along a new axis. UNPACK: y_i = x[..., i, ...] without that axis.

Any dtype of fixed size; nothing is rescaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import (
    MAX_RANK,
    arity,
    axis_in,
    item_bytes,
    moves,
    part,
    rank,
    shapes_as_inferred,
)
from thimble.ops.concatenation import MAX_INPUTS, quantized_alike
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType


@dataclass(frozen=True)
class Pack(Op):
    name: ClassVar[str] = "PACK"
    options_table: ClassVar[str] = "PackOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same")

    values_count: int = 0
    axis: int = 0

    limits: ClassVar[Sequence[Limit]] = (
        arity(1, MAX_INPUTS),
        moves(),
        rank(0, MAX_RANK - 1),
        Limit(
            "values_count must be the number of inputs",
            lambda n: n.op.values_count == len(n.inputs),
            lambda n: f"{n.op.values_count} for {len(n.inputs)}",
        ),
        Limit(
            "the axis must be one of the output's",
            lambda n: axis_in(n.op.axis, len(n.x().shape) + 1),
            lambda n: f"{n.op.axis} of {len(n.x().shape) + 1}",
        ),
        Limit(
            "inputs must have one shape",
            lambda n: len({tuple(n.x(i).shape) for i in range(len(n.inputs))}) == 1,
        ),
        shapes_as_inferred(),
        Limit(
            "int8 and uint8 inputs must have the scale and zero point of the output",
            quantized_alike,
            hint="quantize again: PACK never rescales",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        axis = self.axis % (len(x.shape) + 1)
        return (TensorType((*x.shape[:axis], len(inputs), *x.shape[axis:]), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        return (np.stack([x for x in inputs if x is not None], self.axis),)

    def lower(self, n: Lowering) -> None:
        whole = n.y().shape
        axis = self.axis % len(whole)
        for i in range(len(n.inputs)):
            part(n, n.input(i), n.output(), whole, axis, i, 1, item_bytes(n), join=True)


@dataclass(frozen=True)
class Unpack(Op):
    name: ClassVar[str] = "UNPACK"
    options_table: ClassVar[str] = "UnpackOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same")

    num: int = 0
    axis: int = 0

    limits: ClassVar[Sequence[Limit]] = (
        arity(1, outputs=None),
        moves(),
        rank(1),
        Limit(
            "the axis must be one of the input's, with `num` elements, one for each output",
            lambda n: (
                axis_in(n.op.axis, len(n.x().shape))
                and n.x().shape[n.op.axis] == n.op.num == len(n.outputs)
            ),
            lambda n: f"axis {n.op.axis} of {list(n.x().shape)}, num {n.op.num}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        axis = self.axis % len(x.shape)
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return (TensorType(shape, x.dtype),) * self.num

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return tuple(np.moveaxis(x, self.axis, 0))

    def lower(self, n: Lowering) -> None:
        whole = n.x().shape
        axis = self.axis % len(whole)
        for i in range(len(n.outputs)):
            part(n, n.input(), n.output(i), whole, axis, i, 1, item_bytes(n), join=False)
