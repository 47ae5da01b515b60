"""SQUARED_DIFFERENCE: y = (x1 - x2)^2.

x1, x2 broadcast to y, rank 6 at most. float32, int8, int16 (zero points 0) and unquantized int32,
which wraps. Quantized operands are brought to the scale t / 2^L, t = 2 max(s1, s2), first.
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

LEFT_SHIFT = {"int8": 7, "int16": 0}


def _factors(n: NodeView) -> tuple[float, float, float]:
    """Of x1, x2 and y, all for `quantize_multiplier`. The denominator is a float32 in TFLM."""
    s1, s2, so = float(n.x(0).scale), float(n.x(1).scale), n.y().scale
    twice = 2 * max(s1, s2)
    denominator = float(np.float32(1 << 2 * LEFT_SHIFT[n.y().dtype]) * so)
    return s1 / twice, s2 / twice, twice * twice / denominator


@dataclass(frozen=True)
class SquaredDifference(Op):
    name: ClassVar[str] = "SQUARED_DIFFERENCE"
    options_table: ClassVar[str] = "SquaredDifferenceOptions"

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types(
            "float32 float32 -> float32",
            "int8 int8 -> int8",
            "int16 int16 -> int16",
            "int32 int32 -> int32",
        ),
        broadcast.shapes_broadcast(),
        per_tensor(),
        broadcast.int16_is_symmetric(),
        broadcast.int32_is_unquantized(),
        Limit(
            "the output scale must be above t^2 / 2^14 (int16: t^2), t = 2 max(input scales)",
            lambda n: (
                n.y().dtype not in LEFT_SHIFT or all(map(broadcast.is_below_one, _factors(n)))
            ),
            lambda n: f"output {float(n.y().scale):.3g}, factor {max(_factors(n)):.3g}",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return broadcast.infer_broadcast(inputs, inputs[0].dtype)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return ((a - b) * (a - b),)

    def lower(self, n: Lowering) -> None:
        dtype = n.y().dtype
        if dtype == "float32":
            broadcast.call(n, "thm_squared_difference_f32", {})
            return
        if dtype == "int32":
            broadcast.call(n, "thm_squared_difference_s32", {})
            return
        low, high = fixedpoint.LIMITS[dtype]
        words: dict[str, int | float] = {"act_min": low, "act_max": high}
        for name, factor in zip(("x1", "x2", "output"), _factors(n)):
            multiplier, shift = fixedpoint.quantize_multiplier(factor)
            words |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
        if dtype == "int16":
            broadcast.call(n, "thm_squared_difference_s16", words)
            return
        words |= {"x1_offset": -n.x(0).zero_point, "x2_offset": -n.x(1).zero_point}
        words["output_offset"] = n.y().zero_point
        broadcast.call(n, "thm_squared_difference_s8", words)


def _squared(p: Any, u: Array, v: Array) -> Array:
    u = fixedpoint.mbqm(u, p.x1_multiplier, p.x1_shift)
    v = fixedpoint.mbqm(v, p.x2_multiplier, p.x2_shift)
    square = fixedpoint.wrap32((u - v) * (u - v))
    return fixedpoint.mbqm(square, p.output_multiplier, p.output_shift)


def thm_squared_difference_s8(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        u = (a.astype(np.int64) + p.x1_offset) << LEFT_SHIFT["int8"]
        v = (b.astype(np.int64) + p.x2_offset) << LEFT_SHIFT["int8"]
        out[:] = broadcast.clamp_to(p, _squared(p, u, v) + p.output_offset)


def thm_squared_difference_s16(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = broadcast.clamp_to(p, _squared(p, a.astype(np.int64), b.astype(np.int64)))


def thm_squared_difference_s32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = (a - b) * (a - b)


def thm_squared_difference_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = (a - b) * (a - b)
