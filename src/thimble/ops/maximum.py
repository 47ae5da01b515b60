"""MAXIMUM: y = max(x1, x2), and MINIMUM: y = min(x1, x2).

x1, x2 broadcast to y, rank 6 at most. float32, int8, int16, int32, int64: raw values are compared,
so quantized tensors must all have one scale and zero point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType, types

KERNELS = {
    "float32": "thm_maximum_f32",
    "int8": "thm_maximum_s8",
    "int16": "thm_maximum_s16",
    "int32": "thm_maximum_s32",
    "int64": "thm_maximum_s64",
}


@dataclass(frozen=True)
class _Extremum(Op):
    options_table: ClassVar[str] = "MaximumMinimumOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same")
    minimum: ClassVar[int]

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types(*(f"{dtype} {dtype} -> {dtype}" for dtype in KERNELS)),
        broadcast.shapes_broadcast(),
        broadcast.one_quantization((0, 1)),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return broadcast.infer_broadcast(inputs, inputs[0].dtype)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return (np.where(a < b if self.minimum else a > b, a, b),)

    def lower(self, n: Lowering) -> None:
        broadcast.call(n, KERNELS[n.y().dtype], {"minimum": self.minimum})


@dataclass(frozen=True)
class Maximum(_Extremum):
    name: ClassVar[str] = "MAXIMUM"
    minimum: ClassVar[int] = 0


@dataclass(frozen=True)
class Minimum(_Extremum):
    name: ClassVar[str] = "MINIMUM"
    minimum: ClassVar[int] = 1


def thm_maximum_s8(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name, for any dtype."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = np.where(a < b if p.minimum else a > b, a, b)


thm_maximum_s16 = thm_maximum_s32 = thm_maximum_s64 = thm_maximum_f32 = thm_maximum_s8
