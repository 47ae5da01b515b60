"""EXP, LOG, SQRT, RSQRT, SQUARE, ABS, NEG, SIN, COS, FLOOR, CEIL, ROUND, SIGN: y = f(x).

float32 calls libm. int8 is a table (see unary.py) for all but the last four: RSQRT and ABS in the
fixed point of TFLM, the others in float as LiteRT has them (TFLM has no int8 of them). int16 ABS.

Exception: TFLM's int8 RSQRT stops the inference at a negative input. Here, and for SQRT, LOG and
float results that do not exist, the answer is the lowest value (RSQRT: the highest, as for 0).
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
from thimble.ops.contract import Array, Limit, NodeView, QuantRule
from thimble.ops.relu import ratio
from thimble.ops.unary import INT8, Unary, call, rows, unary_limits

NO_INT8_PEER = QuantRule(quantizable=False)  # no TFLite runtime would run the quantized op


@dataclass(frozen=True)
class Exp(Unary):
    name: ClassVar[str] = "EXP"
    options_table: ClassVar[str] = "ExpOptions"
    kernel_f32: ClassVar[str] = "thm_exp_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    def function(self, x: Array) -> Array:
        return np.exp(x)


@dataclass(frozen=True)
class Log(Unary):
    name: ClassVar[str] = "LOG"
    kernel_f32: ClassVar[str] = "thm_log_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    def function(self, x: Array) -> Array:
        return np.log(x)


@dataclass(frozen=True)
class Sqrt(Unary):
    name: ClassVar[str] = "SQRT"
    kernel_f32: ClassVar[str] = "thm_sqrt_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    def function(self, x: Array) -> Array:
        return np.sqrt(x)


def _rsqrt_fits(n: NodeView) -> bool:
    if n.x().dtype != "int8":
        return True
    divisor = float(np.sqrt(n.x().scale) * n.y().scale)
    return 2.0**-20 < divisor < 2.0**20


@dataclass(frozen=True)
class Rsqrt(Unary):
    name: ClassVar[str] = "RSQRT"
    kernel_f32: ClassVar[str] = "thm_rsqrt_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits(
        "float32",
        "int8",
        rest=(
            Limit(
                "sqrt(input scale) * output scale must lie in (2^-20, 2^20)",
                _rsqrt_fits,
                lambda n: f"{float(np.sqrt(n.x().scale) * n.y().scale):.3g}",
            ),
        ),
    )

    def function(self, x: Array) -> Array:
        return x.dtype.type(1) / np.sqrt(x)

    def table(self, x: Tensor, y: Tensor) -> Array:
        divisor = float(np.sqrt(x.scale) * y.scale)
        multiplier, shift = fixedpoint.quantize_multiplier(1.0 / divisor)
        results = np.full(256, 127, np.int64)
        for i, value in enumerate((INT8 - x.zero_point).tolist()):
            if value > 0:
                inverse, inverse_shift = fixedpoint.inverse_sqrt(value)
                q = fixedpoint.mbqm(np.array(1), inverse, inverse_shift + 20)
                results[i] = fixedpoint.mbqm(q, multiplier, shift - 20) + y.zero_point
        return np.clip(results, -128, 127)


@dataclass(frozen=True)
class Square(Unary):
    name: ClassVar[str] = "SQUARE"
    options_table: ClassVar[str] = "SquareOptions"
    quant: ClassVar[QuantRule] = NO_INT8_PEER
    kernel_f32: ClassVar[str] = "thm_square_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    def function(self, x: Array) -> Array:
        return x * x


@dataclass(frozen=True)
class Abs(Unary):
    name: ClassVar[str] = "ABS"
    options_table: ClassVar[str] = "AbsOptions"
    kernel_f32: ClassVar[str] = "thm_abs_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits(
        "float32", "int8", "int16", rest=(broadcast.factors_below(ratio, 22),)
    )

    def function(self, x: Array) -> Array:
        return np.abs(x)

    def table(self, x: Tensor, y: Tensor) -> Array:
        multiplier, shift = fixedpoint.quantize_multiplier(float(x.scale) / float(y.scale))
        q = fixedpoint.mbqm(np.abs(INT8 - x.zero_point), multiplier, shift)
        return np.clip(q + y.zero_point, -128, 127)

    def lower_s16(self, n: Lowering) -> None:
        (factor,) = ratio(n)
        multiplier, shift = fixedpoint.quantize_multiplier(factor)
        call(n, "thm_abs_s16", {"multiplier": multiplier, "shift": shift})


@dataclass(frozen=True)
class Neg(Unary):
    name: ClassVar[str] = "NEG"
    options_table: ClassVar[str] = "NegOptions"
    quant: ClassVar[QuantRule] = NO_INT8_PEER
    kernel_f32: ClassVar[str] = "thm_neg_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    def function(self, x: Array) -> Array:
        return -x


@dataclass(frozen=True)
class Sin(Unary):
    name: ClassVar[str] = "SIN"
    quant: ClassVar[QuantRule] = NO_INT8_PEER
    kernel_f32: ClassVar[str] = "thm_sin_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    def function(self, x: Array) -> Array:
        return np.sin(x)


@dataclass(frozen=True)
class Cos(Unary):
    name: ClassVar[str] = "COS"
    options_table: ClassVar[str] = "CosOptions"
    quant: ClassVar[QuantRule] = NO_INT8_PEER
    kernel_f32: ClassVar[str] = "thm_cos_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    def function(self, x: Array) -> Array:
        return np.cos(x)


@dataclass(frozen=True)
class Floor(Unary):
    name: ClassVar[str] = "FLOOR"
    quant: ClassVar[QuantRule] = NO_INT8_PEER
    kernel_f32: ClassVar[str] = "thm_floor_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32")

    def function(self, x: Array) -> Array:
        return np.floor(x)


@dataclass(frozen=True)
class Ceil(Unary):
    name: ClassVar[str] = "CEIL"
    quant: ClassVar[QuantRule] = NO_INT8_PEER
    kernel_f32: ClassVar[str] = "thm_ceil_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32")

    def function(self, x: Array) -> Array:
        return np.ceil(x)


@dataclass(frozen=True)
class Round(Unary):
    name: ClassVar[str] = "ROUND"
    quant: ClassVar[QuantRule] = NO_INT8_PEER
    kernel_f32: ClassVar[str] = "thm_round_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32")

    def function(self, x: Array) -> Array:
        return np.rint(x)


@dataclass(frozen=True)
class Sign(Unary):
    name: ClassVar[str] = "SIGN"
    options_table: ClassVar[str] = "SignOptions"
    quant: ClassVar[QuantRule] = NO_INT8_PEER
    kernel_f32: ClassVar[str] = "thm_sign_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32")

    def function(self, x: Array) -> Array:
        return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)


def thm_abs_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        q = fixedpoint.mbqm(np.abs(values.astype(np.int64)), p.multiplier, p.shift)
        out[:] = np.minimum(q, 32767)


def _twin(op: Unary, name: str) -> Any:
    def twin(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
        for values, out in rows(p, y_first, y_count, x, y):
            out[:] = op.function(values)

    twin.__name__ = name
    twin.__doc__ = "Twin of the kernel of the same name, but for the last bits of libm's functions."
    return twin


thm_exp_f32 = _twin(Exp(), "thm_exp_f32")
thm_log_f32 = _twin(Log(), "thm_log_f32")
thm_sqrt_f32 = _twin(Sqrt(), "thm_sqrt_f32")
thm_rsqrt_f32 = _twin(Rsqrt(), "thm_rsqrt_f32")
thm_square_f32 = _twin(Square(), "thm_square_f32")
thm_abs_f32 = _twin(Abs(), "thm_abs_f32")
thm_neg_f32 = _twin(Neg(), "thm_neg_f32")
thm_sin_f32 = _twin(Sin(), "thm_sin_f32")
thm_cos_f32 = _twin(Cos(), "thm_cos_f32")
thm_floor_f32 = _twin(Floor(), "thm_floor_f32")
thm_ceil_f32 = _twin(Ceil(), "thm_ceil_f32")
thm_round_f32 = _twin(Round(), "thm_round_f32")
thm_sign_f32 = _twin(Sign(), "thm_sign_f32")
