"""FILL: y = one value everywhere. ZEROS_LIKE: y = 0, in the shape of x.

FILL: (constant dims [rank], value [1 element]) -> y [dims]. Any dtype of fixed size. As in TFLM
and LiteRT, ZEROS_LIKE writes the stored number 0 also where the zero point is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import strided_copy
from thimble.ops.block_copy import arity, constant_ints, ints, item_bytes, moves, shapes_as_inferred
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType


@dataclass(frozen=True)
class Fill(Op):
    name: ClassVar[str] = "FILL"
    options_table: ClassVar[str] = "FillOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(1,))

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(1),
        constant_ints(0, "the dimensions"),
        Limit(
            "the value must be one element",
            lambda n: n.x(1).elements == 1,
            lambda n: str(list(n.x(1).shape)),
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        dims, value = inputs[0], inputs[1]
        assert dims is not None
        assert value is not None
        return (TensorType(ints(dims.data), value.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        value = inputs[1]
        assert value is not None
        return (np.full(ints(inputs[0]), value.reshape(()), value.dtype),)

    def lower(self, n: Lowering) -> None:
        strided_copy.fill(n, n.input(1), n.output(), item_bytes(n, 1), n.y().elements)


@dataclass(frozen=True)
class ZerosLike(Op):
    name: ClassVar[str] = "ZEROS_LIKE"
    options_table: ClassVar[str] = "ZerosLikeOptions"
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)

    limits: ClassVar[Sequence[Limit]] = (arity(1), moves(), shapes_as_inferred())

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(x.shape, x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (np.zeros_like(x),)

    def lower(self, n: Lowering) -> None:
        zero = n.const(np.zeros(1, n.y().dtype), "zero")
        strided_copy.fill(n, zero, n.output(), item_bytes(n), n.y().elements)
