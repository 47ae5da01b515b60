"""Integer arithmetic of the TFLite kernels over NumPy arrays, bit-exact with the C kernels.

Names and rules are docs/numerics.md's. Values are held in int64 arrays but stay in the range that
the C code's types have; `wrap32` marks the places where C wraps.
"""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)
LIMITS = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int32": (INT32_MIN, INT32_MAX),
}


def round_away(x: float) -> int:
    """Nearest integer, halves away from zero (std::round)."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def quantize_multiplier(d: float) -> tuple[int, int]:
    """A real factor as (q, s): d ~ q * 2^(s - 31), |q| in [2^30, 2^31). TFLite's
    QuantizeMultiplier.
    """
    if d == 0:
        return 0, 0
    mantissa, shift = math.frexp(d)
    q = round_away(mantissa * 2.0**31)
    if abs(q) == 2**31:
        q //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return q, shift


def wrap32(x: Array) -> Array:
    """int64 values as int32 would hold them after overflow."""
    return np.asarray(x).astype(np.int64).astype(np.int32).astype(np.int64)


def tdiv(a: Array, b: Array | int) -> Array:
    """C division of integers: toward zero."""
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    q = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -q, q)


def srdhm(a: Array, b: Array | int) -> Array:
    """Saturating rounding doubling high multiply of int32: floor(a * b / 2^31 + 1/2)."""
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    result = (a * b + 2**30) >> 31
    return np.where((a == INT32_MIN) & (b == INT32_MIN), INT32_MAX, result)


def srdhm16(a: Array, b: Array | int) -> Array:
    """The int16 form of `srdhm`: floor(a * b / 2^15 + 1/2)."""
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    return np.where((a == -32768) & (b == -32768), 32767, (a * b + 2**14) >> 15)


def rdivpot(x: Array, exponent: Array | int) -> Array:
    """x / 2^exponent, rounded half away from zero; exponent in [0, 31]."""
    x, exponent = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + (remainder > threshold)


def mbqm(x: Array, q: Array | int, s: Array | int) -> Array:
    """MultiplyByQuantizedMultiplier with double rounding: x * q * 2^(s - 31), int32 in and out."""
    s = np.asarray(s, np.int64)
    left, right = np.maximum(s, 0), np.maximum(-s, 0)
    return rdivpot(srdhm(wrap32(np.asarray(x, np.int64) << left), q), right)


def mbqm64(x: Array, q: Array | int, s: Array | int) -> Array:
    """MultiplyByQuantizedMultiplier of an int64 accumulator: the multiplier is first reduced to 16
    bits.
    """
    q, s = np.asarray(q, np.int64), np.asarray(s, np.int64)
    q16 = np.where(q < 0x7FFF0000, (q + 2**15) >> 16, 0x7FFF)
    total = 15 - s
    return wrap32((np.asarray(x, np.int64) * q16 + (np.int64(1) << (total - 1))) >> total)


def quantize_multipliers(factors: Array) -> tuple[Array, Array]:
    """`quantize_multiplier` of every element: (int32 multipliers, int32 shifts)."""
    pairs = [quantize_multiplier(float(factor)) for factor in np.atleast_1d(factors)]
    return (
        np.array([q for q, _ in pairs], np.int32),
        np.array([s for _, s in pairs], np.int32),
    )


def sat_round_mul_pot(x: Array, exponent: int) -> Array:
    """x * 2^exponent in int32: saturating to the left, rounding (half away) to the right."""
    if exponent <= 0:
        return rdivpot(x, -exponent)
    threshold = (1 << (31 - exponent)) - 1
    shifted = wrap32(np.asarray(x, np.int64) << exponent)
    return np.where(x > threshold, INT32_MAX, np.where(x < -threshold, INT32_MIN, shifted))


def activation_range(
    activation: str, dtype: str, scale: np.float32, zero_point: int
) -> tuple[int, int]:
    """Clamp range of a fused activation on quantized values, within the dtype."""
    low, high = LIMITS[dtype]

    def q(value: float) -> int:
        with np.errstate(over="ignore"):
            steps = float(np.float32(value) / np.float32(scale))
        return zero_point + round_away(min(max(steps, -(2.0**31)), 2.0**31))

    if activation == "RELU":
        low = max(low, q(0.0))
    elif activation == "RELU6":
        low, high = max(low, q(0.0)), min(high, q(6.0))
    elif activation == "RELU_N1_TO_1":
        low, high = max(low, q(-1.0)), min(high, q(1.0))
    elif activation != "NONE":
        raise ValueError(f"no quantized form of fused activation {activation}")
    return low, high


def activation_range_float(activation: str) -> tuple[float, float]:
    """Clamp range of a fused activation on float values."""
    largest = float(np.finfo(np.float32).max)
    ranges = {
        "NONE": (-largest, largest),
        "RELU": (0.0, largest),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
    }
    return ranges[activation]


# --- fixed-point transcendentals: F<I> is an int32 with 31 - I fraction bits ----------------------


def exp_on_interval(a: Array) -> Array:
    """exp of a in [-1/4, 0) as F0, by a fourth-order polynomial round -1/8."""
    x = a + 2**28
    x2 = srdhm(x, x)
    x3 = srdhm(x2, x)
    x4 = srdhm(x2, x2)
    tail = rdivpot(srdhm(rdivpot(x4, 2) + x3, 715827883) + x2, 1)
    return wrap32(1895147668 + srdhm(wrap32(x + tail), 1895147668))


_EXP_STEPS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)


def exp_on_negative(a: Array, integer_bits: int) -> Array:
    """exp(a) as F0 for a <= 0 given as F<integer_bits>."""
    a = np.asarray(a, np.int64)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    a_mod = (a & (quarter - 1)) - quarter
    result = exp_on_interval(sat_round_mul_pot(a_mod, integer_bits))
    remainder = wrap32(a_mod - a)
    for exponent, factor in _EXP_STEPS:
        if integer_bits > exponent:
            bit = 1 << (fraction_bits + exponent)
            result = np.where(remainder & bit, srdhm(result, factor), result)
    if integer_bits > 5:
        result = np.where(a < -(1 << (fraction_bits + 5)), 0, result)
    return np.where(a == 0, INT32_MAX, result)


def _half_denominator_inverse(a: Array) -> Array:
    """2 / (1 + a) / ... as F2 by three Newton steps, a in [0, 1] as F0."""
    total = np.asarray(a, np.int64) + INT32_MAX
    half = tdiv(total + np.where(total >= 0, 1, -1), 2)
    x = wrap32(1515870810 + srdhm(half, -1010580540))
    for _ in range(3):
        error = wrap32(2**29 - srdhm(half, x))
        x = wrap32(x + sat_round_mul_pot(srdhm(x, error), 2))
    return x


def one_over_one_plus_x(a: Array) -> Array:
    """1 / (1 + a) as F0 for a in [0, 1] as F0."""
    return sat_round_mul_pot(_half_denominator_inverse(a), 1)


def one_minus_x_over_one_plus_x(a: Array) -> Array:
    """(1 - a) / (1 + a) as F0 for a in [0, 1] as F0."""
    return sat_round_mul_pot(wrap32(_half_denominator_inverse(a) - 2**29), 2)


def logistic_fixed(a: Array, integer_bits: int) -> Array:
    """1 / (1 + exp(-a)) as F0, a as F<integer_bits>."""
    a = np.asarray(a, np.int64)
    positive = one_over_one_plus_x(exp_on_negative(-np.abs(a), integer_bits))
    return np.where(a == 0, 2**30, np.where(a < 0, INT32_MAX - positive, positive))


def tanh_fixed(a: Array, integer_bits: int) -> Array:
    """tanh(a) as F0, a as F<integer_bits>."""
    a = np.asarray(a, np.int64)
    positive = one_minus_x_over_one_plus_x(exp_on_negative(-np.abs(a), integer_bits + 1))
    return np.where(a == 0, 0, np.where(a < 0, -positive, positive))


def clz32(x: Array) -> Array:
    """Leading zero bits of x in [0, 2^32)."""
    x = np.asarray(x, np.int64)
    return 32 - np.ceil(np.log2(np.maximum(x, 0).astype(np.float64) + 1)).astype(np.int64)


def reciprocal(x: Array, integer_digits: int) -> tuple[Array, Array]:
    """1 / x as (F0 scale, number of bits over unit) for x > 0 with `integer_digits` integer
    bits.
    """
    headroom = clz32(x)
    shifted = wrap32((np.asarray(x, np.int64) << headroom) - 2**31)
    return one_over_one_plus_x(shifted), integer_digits - headroom


def inverse_sqrt(x: int) -> tuple[int, int]:
    """1 / sqrt(x) of an integer x >= 1 as (multiplier, shift), by five Newton steps in F3."""
    if x <= 1:
        return INT32_MAX, 0
    right = 11
    while x >= 2**29:
        x //= 4
        right += 1
    pairs = (32 - x.bit_length() - 1) // 2 - 1
    right -= pairs
    x <<= 2 * pairs
    half = rdivpot(np.array(x >> 1), 1)
    guess = np.array(2**28)
    for _ in range(5):
        cube = sat_round_mul_pot(srdhm(srdhm(guess, guess), guess), 6)
        step = srdhm(np.array(3 * 2**27), guess) - srdhm(half, cube)
        guess = sat_round_mul_pot(wrap32(step), 3)
    guess = srdhm(guess, 1518500250)  # sqrt(1/2) as F0
    if right < 0:
        guess, right = wrap32(guess << -right), 0
    return int(guess), -right


def input_radius(integer_bits: int, left_shift: int) -> int:
    """Largest |q| whose rescaled value still fits F<integer_bits>. TFLite's
    CalculateInputRadius.
    """
    largest = float((1 << integer_bits) - 1) * float(1 << (31 - integer_bits))
    return math.floor(largest / 2.0**left_shift)
