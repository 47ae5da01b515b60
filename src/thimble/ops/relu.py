"""RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1: y = clamp(x); LEAKY_RELU: y = x if x > 0 else alpha * x.

float32, int8 (a table, see unary.py) and int16 (zero points 0). Integers are rescaled from the
input's scale to the output's, by a double ratio as in TFLM; LiteRT's ratio is a float32.

Exception: TFLM's RELU6 ignores the output's scale and zero point. Where they differ from the
input's we return the right value, which is LiteRT's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast
from thimble.ops.contract import Array, Limit, NodeView
from thimble.ops.unary import INT8, Unary, call, rows, unary_limits


def ratio(n: NodeView) -> tuple[float]:
    """Input scale over output scale."""
    return (float(n.x().scale) / float(n.y().scale),)


@dataclass(frozen=True)
class _Clamp(Unary):
    kernel_f32: ClassVar[str] = "thm_relu_f32"
    low: ClassVar[float]
    high: ClassVar[float]
    limits: ClassVar[Sequence[Limit]] = unary_limits(
        "float32", "int8", "int16", rest=(broadcast.factors_below(ratio, 22),)
    )

    def function(self, x: Array) -> Array:
        return np.clip(x, x.dtype.type(self.low), x.dtype.type(self.high))

    def words_f32(self) -> dict[str, int | float]:
        return {"act_min": self.low, "act_max": self.high}

    def _range(self, y: Tensor) -> tuple[int, int]:
        low, high = fixedpoint.LIMITS[y.dtype]
        bounds = []
        for bound, limit in ((self.low, low), (self.high, high)):
            with np.errstate(over="ignore"):
                steps = float(np.float32(bound) / y.scale)
            q = y.zero_point + fixedpoint.round_away(min(max(steps, -(2.0**31)), 2.0**31))
            bounds.append(min(max(q, low), high) if isfinite(bound) else limit)
        return bounds[0], bounds[1]

    def table(self, x: Tensor, y: Tensor) -> Array:
        multiplier, shift = fixedpoint.quantize_multiplier(float(x.scale) / float(y.scale))
        q = fixedpoint.mbqm(INT8 - x.zero_point, multiplier, shift) + y.zero_point
        return np.clip(q, *self._range(y))

    def lower_s16(self, n: Lowering) -> None:
        (factor,) = ratio(n)
        multiplier, shift = fixedpoint.quantize_multiplier(factor)
        low, high = self._range(n.y())
        words = {"multiplier": multiplier, "shift": shift, "act_min": low, "act_max": high}
        call(n, "thm_relu_s16", words)


@dataclass(frozen=True)
class Relu(_Clamp):
    name: ClassVar[str] = "RELU"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = inf


@dataclass(frozen=True)
class Relu6(_Clamp):
    name: ClassVar[str] = "RELU6"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 6.0


@dataclass(frozen=True)
class ReluN1To1(_Clamp):
    name: ClassVar[str] = "RELU_N1_TO_1"
    low: ClassVar[float] = -1.0
    high: ClassVar[float] = 1.0


@dataclass(frozen=True)
class Relu0To1(_Clamp):
    name: ClassVar[str] = "RELU_0_TO_1"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0


def _leaky_factors(n: NodeView) -> tuple[float, float]:
    """Of x >= 0 and of x < 0."""
    (factor,) = ratio(n)
    return factor, float(n.x().scale) * float(np.float32(n.op.alpha)) / float(n.y().scale)


@dataclass(frozen=True)
class LeakyRelu(Unary):
    name: ClassVar[str] = "LEAKY_RELU"
    options_table: ClassVar[str] = "LeakyReluOptions"
    kernel_f32: ClassVar[str] = "thm_leaky_relu_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits(
        "float32", "int8", "int16", rest=(broadcast.factors_below(_leaky_factors, 22),)
    )

    alpha: float = 0.0

    def function(self, x: Array) -> Array:
        return np.where(x > 0, x, x * x.dtype.type(self.alpha))

    def words_f32(self) -> dict[str, int | float]:
        return {"alpha": float(self.alpha)}

    def table(self, x: Tensor, y: Tensor) -> Array:
        positive = float(x.scale) / float(y.scale)
        negative = float(x.scale) * float(np.float32(self.alpha)) / float(y.scale)
        centred = INT8 - x.zero_point
        q = np.where(
            centred >= 0,
            fixedpoint.mbqm(centred, *fixedpoint.quantize_multiplier(positive)),
            fixedpoint.mbqm(centred, *fixedpoint.quantize_multiplier(negative)),
        )
        return np.clip(q + y.zero_point, -128, 127)

    def lower_s16(self, n: Lowering) -> None:
        words: dict[str, int | float] = {}
        for name, factor in zip(("positive", "negative"), _leaky_factors(n)):
            multiplier, shift = fixedpoint.quantize_multiplier(factor)
            words |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
        call(n, "thm_leaky_relu_s16", words)


def thm_relu_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        q = fixedpoint.mbqm(values.astype(np.int64), p.multiplier, p.shift)
        out[:] = np.clip(q, p.act_min, p.act_max)


def thm_relu_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = np.clip(values, np.float32(p.act_min), np.float32(p.act_max))


def thm_leaky_relu_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        wide = values.astype(np.int64)
        q = np.where(
            wide >= 0,
            fixedpoint.mbqm(wide, p.positive_multiplier, p.positive_shift),
            fixedpoint.mbqm(wide, p.negative_multiplier, p.negative_shift),
        )
        out[:] = np.clip(q, -32768, 32767)


def thm_leaky_relu_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = np.where(values > 0, values, values * np.float32(p.alpha))
