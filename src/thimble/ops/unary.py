"""LOGISTIC, TANH, HARD_SWISH, ELU, GELU, and how every op of one operand is lowered: y = f(x).

int8 functions are 256-entry tables, computed here exactly as the TFLM kernel computes each value,
and one kernel looks them up. int16 LOGISTIC and TANH interpolate the table of `thimble.sigmoid`.
float32 calls libm; the twins call NumPy, whose last bit may differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint, sigmoid
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast
from thimble.ops.contract import (
    Array,
    Limit,
    NodeView,
    Op,
    QuantRule,
    TensorType,
    per_tensor,
    types,
)
from thimble.program import Window

INT8 = np.arange(-128, 128, dtype=np.int64)


def call(
    n: Lowering,
    kernel: str,
    words: Mapping[str, int | float] | None = None,
    table: Array | None = None,
) -> None:
    """Append the call of an element-wise kernel from input 0 to output 0, with its table if any."""
    found = broadcast.loops([n.x().shape], n.y().shape, ["x"])
    arguments: dict[str, Any] = {"x": n.input(), "y": n.output(), **(words or {})}
    arguments |= {key: found.words[key] for key in ("y_ring", "x_ring", "x_row")}
    if table is not None:
        arguments["table"] = n.const(table, "table")
    windows = {"x": Window()} if found.banded[0] and not n.x().is_constant else {}
    n.call(kernel, rows=found.rows, windows=windows, **arguments)


def unary_limits(*dtypes: str, rest: Sequence[Limit] = ()) -> tuple[Limit, ...]:
    """What every op of one operand asks for, then `rest`."""
    return (
        broadcast.arity(1),
        types(*(f"{dtype} -> {dtype}" for dtype in dtypes)),
        broadcast.same_shape(),
        per_tensor(),
        broadcast.int16_is_symmetric(),
        *rest,
    )


def fixed_output(fixed: Mapping[str, tuple[float, int]]) -> Limit:
    """The output scale and zero point that the TFLite specification prescribes."""
    prescribed = "; ".join(f"{d}: {s!r} and {z}" for d, (s, z) in fixed.items())
    return Limit(
        f"the output must have the prescribed scale and zero point ({prescribed})",
        lambda n: (
            n.y().dtype not in fixed or (float(n.y().scale), n.y().zero_point) == fixed[n.y().dtype]
        ),
        lambda n: f"{float(n.y().scale)!r} and {n.y().zero_point}",
    )


def float_table(f: Any, x: Tensor, y: Tensor) -> Array:
    """int8 results of q = -128..127 for a float function: TFLite's LUTPopulate, in float32.

    f is asked in double and rounded, which is what a good libm returns. Beyond the range of y
    values saturate; where f has none (NaN) the result is the lowest one.
    """
    with np.errstate(all="ignore"):
        real = x.scale * (INT8 - x.zero_point).astype(np.float32)
        values = f(real.astype(np.float64)).astype(np.float32)
        steps = (values * (np.float32(1) / y.scale)).astype(np.float64)
    steps = np.clip(np.nan_to_num(steps, nan=-1e9, posinf=1e9, neginf=-1e9), -1e9, 1e9)
    q = np.copysign(np.floor(np.abs(steps) + 0.5), steps).astype(np.int64) + y.zero_point
    return np.clip(q, -128, 127)


@dataclass(frozen=True)
class Unary(Op):
    """Base of the ops of one operand whose int8 form is a table."""

    kernel_f32: ClassVar[str]

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        assert inputs[0] is not None
        return (TensorType(inputs[0].shape, inputs[0].dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (self.function(inputs[0]),)

    def function(self, x: Array) -> Array:
        """The op on floats."""
        raise NotImplementedError(f"{self.name}.function")

    def table(self, x: Tensor, y: Tensor) -> Array:
        """int8 results for q = -128..127."""
        return float_table(self.function, x, y)

    def words_f32(self) -> dict[str, int | float]:
        """Params of the float kernel beyond the loop's."""
        return {}

    def lower_s16(self, n: Lowering) -> None:
        """Append the int16 kernel, for the ops whose limits let int16 pass."""
        raise NotImplementedError(f"{self.name}.lower_s16")

    def lower(self, n: Lowering) -> None:
        if n.x().dtype == "float32":
            call(n, self.kernel_f32, self.words_f32())
        elif n.x().dtype == "int16":
            self.lower_s16(n)
        else:
            call(n, "thm_lookup_s8", table=lookup_table(self.table(n.x(), n.y())))


def lookup_table(results: Array) -> Array:
    """Results for q = -128..127 in the order of the kernel, which indexes by (uint8_t)q."""
    return np.roll(results, 128).astype(np.int8)


# --- LOGISTIC and TANH ---------------------------------------------------------------------------


def _f4(x: Tensor) -> tuple[Array, Array, Array]:
    """q = -128..127 as F4 (4 integer bits), where it is too low for that, and where too high."""
    multiplier, shift = fixedpoint.quantize_multiplier(float(x.scale) * 2.0**27)
    radius = fixedpoint.input_radius(4, shift)
    centred = INT8 - x.zero_point
    inside = np.clip(centred, -radius, radius)
    return (
        fixedpoint.mbqm(inside, multiplier, shift),
        centred <= -radius,
        centred >= radius,
    )


def _sigmoid_input_fits(n: NodeView) -> bool:
    x = n.x()
    if x.dtype == "int16":
        return float(x.scale) <= sigmoid.LARGEST_INPUT_SCALE
    return x.dtype != "int8" or 2.0**-27 <= float(x.scale) < 2.0**3


_SIGMOID_INPUT = Limit(
    "the input scale must lie in [2^-27, 8) for int8, and be 2 at most for int16",
    _sigmoid_input_fits,
    lambda n: f"{float(n.x().scale):.6g}",
)


@dataclass(frozen=True)
class _Sigmoid(Unary):
    kernel_s16: ClassVar[str]

    def lower_s16(self, n: Lowering) -> None:
        multiplier, shift = sigmoid.input_multiplier(float(n.x().scale))
        call(n, self.kernel_s16, {"multiplier": multiplier, "shift": shift}, sigmoid.TABLE)


@dataclass(frozen=True)
class Logistic(_Sigmoid):
    """y = 1 / (1 + exp(-x))"""

    name: ClassVar[str] = "LOGISTIC"
    kernel_f32: ClassVar[str] = "thm_logistic_f32"
    kernel_s16: ClassVar[str] = "thm_logistic_s16"
    quant: ClassVar[QuantRule] = QuantRule(
        output="fixed", fixed={"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}
    )
    limits: ClassVar[Sequence[Limit]] = unary_limits(
        "float32", "int8", "int16", rest=(fixed_output(quant.fixed), _SIGMOID_INPUT)
    )

    def function(self, x: Array) -> Array:
        return logistic_real(x)

    def table(self, x: Tensor, y: Tensor) -> Array:
        scaled, low, high = _f4(x)
        q = fixedpoint.rdivpot(fixedpoint.logistic_fixed(scaled, 4), 23) - 128
        return np.where(low, -128, np.where(high, 127, np.clip(q, -128, 127)))


@dataclass(frozen=True)
class Tanh(_Sigmoid):
    """y = tanh(x)"""

    name: ClassVar[str] = "TANH"
    kernel_f32: ClassVar[str] = "thm_tanh_f32"
    kernel_s16: ClassVar[str] = "thm_tanh_s16"
    quant: ClassVar[QuantRule] = QuantRule(
        output="fixed", fixed={"int8": (1 / 128, 0), "int16": (1 / 32768, 0)}
    )
    limits: ClassVar[Sequence[Limit]] = unary_limits(
        "float32", "int8", "int16", rest=(fixed_output(quant.fixed), _SIGMOID_INPUT)
    )

    def function(self, x: Array) -> Array:
        return np.tanh(x)

    def table(self, x: Tensor, y: Tensor) -> Array:
        scaled, low, high = _f4(x)
        q = fixedpoint.rdivpot(fixedpoint.tanh_fixed(scaled, 4), 24)
        return np.where(low, -128, np.where(high, 127, np.clip(q, -128, 127)))


def logistic_real(x: Array) -> Array:
    """1 / (1 + exp(-x)) with the cut-offs of TFLM's float kernel."""
    one = x.dtype.type(1)
    with np.errstate(over="ignore"):
        low, middle = np.exp(x), one / (one + np.exp(-x))
    return np.where(x > np.float32(16.619047164916992), one, np.where(x < -9, low, middle))


# --- HARD_SWISH ----------------------------------------------------------------------------------


def _hard_swish_multipliers(x: Tensor, y: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    """16-bit (multiplier, exponent) to the output, and to 3/32768 for the relu-like factor."""
    fine = np.float32(1 / 128) * x.scale

    def reduced(factor: np.float32) -> tuple[int, int]:
        q, exponent = fixedpoint.quantize_multiplier(float(factor))
        return min((q + 2**15) >> 16, 32767), exponent

    return reduced(fine / y.scale), reduced(fine / np.float32(3 / 32768))


def _hard_swish_fits(n: NodeView) -> bool:
    if n.x().dtype != "int8":
        return True
    ratio = float(n.x().scale) / float(n.y().scale)
    return 2.0**-7 < ratio < 2.0**6 and 2.0**-20 < float(n.x().scale) < 2.0**10


@dataclass(frozen=True)
class HardSwish(Unary):
    """y = x * clamp(x + 3, 0, 6) / 6"""

    name: ClassVar[str] = "HARD_SWISH"
    options_table: ClassVar[str] = "HardSwishOptions"
    kernel_f32: ClassVar[str] = "thm_hard_swish_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits(
        "float32",
        "int8",
        rest=(
            Limit(
                "the input scale must lie in (2^-20, 2^10), and in (2^-7, 2^6) output scales",
                _hard_swish_fits,
                lambda n: f"scales {float(n.x().scale):.6g} and {float(n.y().scale):.6g}",
            ),
        ),
    )

    def function(self, x: Array) -> Array:
        return x * np.clip(x + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)

    def table(self, x: Tensor, y: Tensor) -> Array:
        (to_y, y_exponent), (to_relu, relu_exponent) = _hard_swish_multipliers(x, y)
        fine = (INT8 - x.zero_point) * 128
        before = fixedpoint.srdhm16(fine, to_y)
        factor = fine
        if relu_exponent > 0:
            factor = np.clip(factor << (relu_exponent - 1), -32768, 32767)
        factor = fixedpoint.srdhm16(factor, to_relu)
        if relu_exponent > 0:
            factor = np.clip(factor << 1, -32768, 32767)
        elif relu_exponent < 0:
            factor = fixedpoint.rdivpot(factor, -relu_exponent)
        factor = (factor + 32768) >> 1
        product = np.clip(fixedpoint.tdiv(factor * before, 1 << 15), -32768, 32767)
        return np.clip(fixedpoint.rdivpot(product, -y_exponent) + y.zero_point, -128, 127)


# --- ELU and GELU --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Elu(Unary):
    """y = x if x >= 0 else exp(x) - 1"""

    name: ClassVar[str] = "ELU"
    kernel_f32: ClassVar[str] = "thm_elu_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    def function(self, x: Array) -> Array:
        return np.where(x < 0, np.expm1(np.minimum(x, 0)), x)


@dataclass(frozen=True)
class Gelu(Unary):
    """y = x / 2 * erfc(-x / sqrt 2); `approximate`: by tanh(sqrt(2 / pi) (x + 0.044715 x^3))"""

    name: ClassVar[str] = "GELU"
    options_table: ClassVar[str] = "GeluOptions"
    kernel_f32: ClassVar[str] = "thm_gelu_f32"
    limits: ClassVar[Sequence[Limit]] = unary_limits("float32", "int8")

    approximate: bool = False

    def function(self, x: Array) -> Array:
        return gelu_real(x, self.approximate)

    def words_f32(self) -> dict[str, int | float]:
        return {"approximate": int(self.approximate)}


def gelu_real(x: Array, approximate: bool) -> Array:
    """GELU in the arithmetic of x; NumPy has no erfc, so that is libm's in double."""
    half, one = x.dtype.type(0.5), x.dtype.type(1)
    if approximate:
        cubic = x + x.dtype.type(0.044715) * x * x * x
        return half * x * (one + np.tanh(x.dtype.type(math.sqrt(2 / math.pi)) * cubic))
    argument = x * x.dtype.type(-math.sqrt(0.5))
    erfc = np.frompyfunc(math.erfc, 1, 1)(argument.astype(np.float64))
    return half * x * np.asarray(erfc, np.float64).astype(x.dtype)


# --- twins ---------------------------------------------------------------------------------------


def rows(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> Any:
    """For each row of the band: a copy of the row of x, and the view of y to write."""
    for r in range(y_first, y_first + y_count):
        source, target = r % p.x_ring * p.x_row, r % p.y_ring * p.x_row
        yield x[source : source + p.x_row].copy(), y[target : target + p.x_row]


def thm_lookup_s8(p: Any, y_first: int, y_count: int, x: Array, table: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = table[values.view(np.uint8)]


def thm_logistic_s16(p: Any, y_first: int, y_count: int, x: Array, table: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = sigmoid.logistic_s16(values, p.multiplier, p.shift, table)


def thm_tanh_s16(p: Any, y_first: int, y_count: int, x: Array, table: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = sigmoid.tanh_s16(values, p.multiplier, p.shift, table)


def thm_logistic_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, but for the last bits of exp."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = logistic_real(values)


def thm_tanh_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, but for the last bits of tanh."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = np.tanh(values)


def thm_hard_swish_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = HardSwish().function(values)


def thm_elu_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, but for the last bits of expm1."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = Elu().function(values)


def thm_gelu_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, but for the last bits of tanh and erfc."""
    for values, out in rows(p, y_first, y_count, x, y):
        out[:] = gelu_real(values, bool(p.approximate))
