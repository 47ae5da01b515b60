"""MUL: y = clamp(x1 * x2).

x1, x2 broadcast to y, rank 6 at most. float32, int8, int16 (zero points 0) and unquantized int32,
which wraps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast
from thimble.ops.contract import Array, Limit, NodeView, Op, TensorType, per_tensor, types


def _factors(n: NodeView) -> tuple[float]:
    """In double, as TFLM has it; LiteRT's float32 product differs by 1 LSB in 0.1 % of int16."""
    return (float(n.x(0).scale) * float(n.x(1).scale) / float(n.y().scale),)


@dataclass(frozen=True)
class Mul(Op):
    name: ClassVar[str] = "MUL"
    options_table: ClassVar[str] = "MulOptions"

    fused_activation_function: str = "NONE"

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types(
            "float32 float32 -> float32",
            "int8 int8 -> int8",
            "int16 int16 -> int16",
            "int32 int32 -> int32",
        ),
        broadcast.shapes_broadcast(),
        broadcast.fused_activation(),
        per_tensor(),
        broadcast.int16_is_symmetric(),
        broadcast.int32_is_unquantized(),
        broadcast.factors_below(_factors, 15),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return broadcast.infer_broadcast(inputs, inputs[0].dtype)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return (broadcast.clamp_real(self.fused_activation_function, a * b),)

    def lower(self, n: Lowering) -> None:
        dtype = n.y().dtype
        if dtype == "int32":
            broadcast.call(n, "thm_mul_s32", {})
            return
        words = broadcast.activation_words(n)
        if dtype == "float32":
            broadcast.call(n, "thm_mul_f32", words)
            return
        (factor,) = _factors(n)
        words["multiplier"], words["shift"] = fixedpoint.quantize_multiplier(factor)
        if dtype == "int16":
            broadcast.call(n, "thm_mul_s16", words)
            return
        words |= {"x1_offset": -n.x(0).zero_point, "x2_offset": -n.x(1).zero_point}
        words["output_offset"] = n.y().zero_point
        broadcast.call(n, "thm_mul_s8", words)


def thm_mul_s8(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        product = (a.astype(np.int64) + p.x1_offset) * (b.astype(np.int64) + p.x2_offset)
        q = fixedpoint.mbqm(product, p.multiplier, p.shift) + p.output_offset
        out[:] = broadcast.clamp_to(p, q)


def thm_mul_s16(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        q = fixedpoint.mbqm(a.astype(np.int64) * b, p.multiplier, p.shift)
        out[:] = broadcast.clamp_to(p, q)


def thm_mul_s32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = a * b


def thm_mul_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = broadcast.clamp_to(p, a * b)
