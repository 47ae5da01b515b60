"""DIV: y = clamp(x1 / x2).

x1, x2 broadcast to y, rank 6 at most. float32, int8, and unquantized int32 (toward zero).

Exceptions: TFLM leaves undefined what is defined here. int8 x / 0 saturates by the sign of x and
0 / 0 is 0; quotients that vanish, whose shift is below -31, are 0 (TFLM on x86 is wrong there by
any amount); int32 x / 0 is 0.
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
    """A float32, as in TFLM."""
    with np.errstate(all="ignore"):
        return (float(n.x(0).scale / (n.x(1).scale * n.y().scale)),)


def _reciprocals() -> Array:
    """1 / v for v in [1, 255], scaled to [1/2, 1] as F0; entry 0 is never read."""
    scaled, _ = fixedpoint.reciprocal(np.arange(1, 256), 31)
    return np.concatenate([[0], scaled]).astype(np.int32)


@dataclass(frozen=True)
class Div(Op):
    name: ClassVar[str] = "DIV"
    options_table: ClassVar[str] = "DivOptions"

    fused_activation_function: str = "NONE"

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types("float32 float32 -> float32", "int8 int8 -> int8", "int32 int32 -> int32"),
        broadcast.shapes_broadcast(),
        broadcast.fused_activation(),
        per_tensor(),
        broadcast.int32_is_unquantized(),
        Limit(
            "scale of x1 / (scale of x2 * scale of y) must be below 2^22",
            lambda n: n.x().dtype != "int8" or _factors(n)[0] < 2.0**22,
            lambda n: f"{_factors(n)[0]:.3g}",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return broadcast.infer_broadcast(inputs, inputs[0].dtype)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        with np.errstate(all="ignore"):
            return (broadcast.clamp_real(self.fused_activation_function, a / b),)

    def lower(self, n: Lowering) -> None:
        dtype = n.y().dtype
        if dtype == "int32":
            broadcast.call(n, "thm_div_s32", {})
            return
        words = broadcast.activation_words(n)
        if dtype == "float32":
            broadcast.call(n, "thm_div_f32", words)
            return
        words["multiplier"], words["shift"] = fixedpoint.quantize_multiplier(_factors(n)[0])
        words |= {"x1_offset": -n.x(0).zero_point, "x2_offset": -n.x(1).zero_point}
        words["output_offset"] = n.y().zero_point
        tables = {"reciprocal": n.const(_reciprocals(), "reciprocal")}
        broadcast.call(n, "thm_div_s8", words, tables=tables)


def thm_div_s8(
    p: Any,
    y_first: int,
    y_count: int,
    x1: Array,
    x2: Array,
    walk: Array | None,
    reciprocal: Array,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        divisor = b.astype(np.int64) + p.x2_offset
        v = np.abs(divisor)
        u = (a.astype(np.int64) + p.x1_offset) * np.where(divisor < 0, -1, 1)
        headroom = fixedpoint.clz32(np.where(u < 0, ~u, u)) - 1
        x = fixedpoint.srdhm(fixedpoint.wrap32(u << headroom), reciprocal[v])
        shift = p.shift - (31 - fixedpoint.clz32(v)) - headroom
        scaled = fixedpoint.mbqm(x, p.multiplier, np.clip(shift, -31, 0))
        q = np.where(shift < -31, 0, scaled) + p.output_offset
        beyond = np.where(u > 0, p.act_max, np.where(u < 0, p.act_min, p.output_offset))
        out[:] = broadcast.clamp_to(p, np.where(v == 0, beyond, q))


def thm_div_s32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        quotient = fixedpoint.tdiv(a, np.where(b == 0, 1, b))
        out[:] = fixedpoint.wrap32(np.where(b == 0, 0, quotient))


def thm_div_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        with np.errstate(all="ignore"):
            out[:] = broadcast.clamp_to(p, a / b)
