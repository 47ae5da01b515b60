"""PRELU: y = x if x >= 0 else alpha * x.

x and alpha broadcast to y, rank 6 at most. float32, int8, and int16 (zero point 0) with int8 alpha.
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


def _factors(n: NodeView) -> tuple[float, float]:
    """Of x >= 0 and of x < 0."""
    sx, sa, so = float(n.x(0).scale), float(n.x(1).scale), float(n.y().scale)
    return sx / so, sx * sa / so


@dataclass(frozen=True)
class Prelu(Op):
    name: ClassVar[str] = "PRELU"

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types("float32 float32 -> float32", "int8 int8 -> int8", "int16 int8 -> int16"),
        broadcast.shapes_broadcast(),
        per_tensor(),
        broadcast.int16_is_symmetric(),
        broadcast.factors_below(_factors, 15),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return broadcast.infer_broadcast(inputs, inputs[0].dtype)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, alpha = inputs
        assert x is not None
        assert alpha is not None
        return (np.where(x >= 0, x, x * alpha),)

    def lower(self, n: Lowering) -> None:
        dtype = n.y().dtype
        if dtype == "float32":
            broadcast.call(n, "thm_prelu_f32", {})
            return
        low, high = fixedpoint.LIMITS[dtype]
        words: dict[str, int | float] = {
            "x1_offset": -n.x(0).zero_point,
            "x2_offset": -n.x(1).zero_point,
            "output_offset": n.y().zero_point,
            "act_min": low,
            "act_max": high,
        }
        for name, factor in zip(("positive", "negative"), _factors(n)):
            multiplier, shift = fixedpoint.quantize_multiplier(factor)
            words |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
        broadcast.call(n, {"int8": "thm_prelu_s8", "int16": "thm_prelu_s16"}[dtype], words)


def thm_prelu_s8(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name, for int8 and int16."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        x = a.astype(np.int64) + p.x1_offset
        scaled = x * (b.astype(np.int64) + p.x2_offset)
        q = np.where(
            x >= 0,
            fixedpoint.mbqm(x, p.positive_multiplier, p.positive_shift),
            fixedpoint.mbqm(scaled, p.negative_multiplier, p.negative_shift),
        )
        out[:] = broadcast.clamp_to(p, q + p.output_offset)


thm_prelu_s16 = thm_prelu_s8


def thm_prelu_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        out[:] = np.where(a >= 0, a, a * b)
