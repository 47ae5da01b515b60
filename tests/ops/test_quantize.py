"""QUANTIZE: twins, peers over all pairs of dtypes, halves and extremes, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from moving import NOT_IN_TFLM, refuse
from single_op import Case, Exempt, Operand, check, model_of, refused

from thimble.fixedpoint import LIMITS
from thimble.lower import lower
from thimble.memory import place
from thimble.ops.cast import ELEMENT_TYPES
from thimble.ops.quantize import QUANTIZED, Quantize
from thimble.runners.program import ProgramRunner

SEEDS = st.integers(0, 2**32 - 1)


def range_words(dtype, zero_point):
    low, high = LIMITS[dtype]
    return {
        "y_type": ELEMENT_TYPES[dtype],
        "output_offset": zero_point,
        "act_min": low,
        "act_max": high,
    }


@given(
    st.sampled_from(["int8", "uint8", "int16"]),
    st.integers(-128, 127),
    st.floats(2.0**-99, 2.0**33, width=32),
    st.integers(1, 4),
    st.integers(0, 6),
    SEEDS,
)
@settings(max_examples=200, deadline=None)
def test_twin_f32(dtype, zero_point, scale, ring, y_first, seed):
    rng = np.random.default_rng(seed)
    row = 7
    steps = rng.integers(-70000, 70000, ring * row) / rng.choice([1, 2, 4, 128], ring * row)
    with np.errstate(over="ignore"):
        x = (steps * scale).astype(np.float32)
    x[rng.integers(0, x.size)] = rng.choice(np.array([np.nan, np.inf, -np.inf, 1e38], np.float32))
    words = {"row": row, "scale": scale, "x_ring": ring, "y_ring": ring}
    words |= range_words(dtype, zero_point + (128 if dtype == "uint8" else 0))
    y = np.zeros(ring * row * np.dtype(dtype).itemsize, np.uint8)
    assert_twins_agree("thm_quantize_f32", words, {"x": x, "y": y}, y_first, ring)


@given(
    st.sampled_from(QUANTIZED),
    st.sampled_from(QUANTIZED),
    st.integers(2**30, 2**31 - 1),
    st.integers(-31, 30),
    st.integers(-128, 128),
    st.integers(-128, 127),
    SEEDS,
)
@settings(max_examples=300, deadline=None)
def test_twin_int(x_dtype, y_dtype, multiplier, shift, input_offset, zero_point, seed):
    rng = np.random.default_rng(seed)
    info = np.iinfo(x_dtype)
    x = rng.integers(info.min, info.max, 12, x_dtype, endpoint=True)
    x[:2] = info.min, info.max
    words = {"row": 4, "x_type": ELEMENT_TYPES[x_dtype], "x_ring": 3, "y_ring": 3}
    words |= {"input_offset": input_offset, "multiplier": multiplier, "shift": shift}
    words |= range_words(y_dtype, zero_point)
    y = np.zeros(12 * np.dtype(y_dtype).itemsize, np.uint8)
    assert_twins_agree("thm_quantize_int", words, {"x": x.view(np.uint8), "y": y}, 1, 3)


def quantize_case(x_dtype, y_dtype, x_scale=0.05, y_scale=0.083, zero_points=(3, -5), **more):
    zero = {"int8": zero_points, "uint8": (131, 120), "int16": (0, 0), "int32": (0, 0)}
    x = Operand((1, 40, 3, 4), x_dtype)
    if x_dtype != "float32":
        x = Operand((1, 40, 3, 4), x_dtype, x_scale, zero[x_dtype][0])
    y = Operand((1, 40, 3, 4), y_dtype, y_scale, zero[y_dtype][1])
    name = f"{x_dtype} to {y_dtype} {x_scale} {y_scale}"
    return Case(name, Quantize(), (x,), (y,), **more)


# LiteRT rounds halves up here, and multiplies by the reciprocal of the scale.
LITERT_ROUNDS = {"litert": Exempt("rounds the multiplier's product differently", 1)}
NO_LITERT = {"litert": Exempt("LiteRT has no such requantization")}
CASES = [
    quantize_case("float32", "int8"),
    quantize_case("float32", "int8", y_scale=0.25),
    quantize_case("float32", "int16", y_scale=0.0001, exempt=LITERT_ROUNDS),
    quantize_case("float32", "uint8", exempt=NOT_IN_TFLM),
    quantize_case("int8", "int8", exempt=LITERT_ROUNDS),
    quantize_case("int8", "int8", 0.05, 0.05, exempt=LITERT_ROUNDS),
    quantize_case("int8", "uint8", exempt=LITERT_ROUNDS),
    quantize_case("int8", "int16", 0.05, 0.0003, exempt=LITERT_ROUNDS),
    quantize_case("int8", "int32", 0.05, 0.0003, exempt=NO_LITERT),
    quantize_case("int16", "int8", 0.0002, 0.05, exempt=LITERT_ROUNDS),
    quantize_case("int16", "int16", 0.0002, 0.00031, exempt=LITERT_ROUNDS),
    quantize_case("int16", "int32", 0.0002, 0.00031, exempt=LITERT_ROUNDS),
    quantize_case("int32", "int8", 2e-9, 0.03, exempt=LITERT_ROUNDS),
    quantize_case("int32", "int16", 2e-9, 0.0001, exempt=LITERT_ROUNDS),
    quantize_case("uint8", "int8", exempt=LITERT_ROUNDS),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


def test_uint8_to_int8_with_the_same_scale_flips_the_sign_bit():
    x = Operand((256,), "uint8", 0.1, 128)
    values = (np.arange(256, dtype=np.uint8),)
    wanted = (values[0] ^ 0x80).view(np.int8)
    check(
        Case(
            "uint8 to int8", Quantize(), (x,), (Operand((256,), "int8", 0.1, 0),), values, (wanted,)
        )
    )


def test_halves_go_away_from_zero_and_everything_saturates():
    x = np.array([0.5, -0.5, 1.5, -1.5, 0.49999997, 1e30, -1e30, np.inf, np.nan], np.float32)
    c = Case("ends", Quantize(), (Operand((9,), "float32"),), (Operand((9,), "int8", 1.0, 3),))
    program = lower(model_of(c))
    (y,) = ProgramRunner(program, place(program, "greedy")).run([x])
    assert y.tolist() == [4, 2, 5, 1, 3, 127, -128, 127, -128]


INT8 = Operand((2,), "int8", 0.1)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Quantize(), [(2,)], [Operand((2,), "int32", 0.1)], "float32"), "not int32 for"),
        (refuse(Quantize(), [INT8], [Operand((2,), "float32")]), "the output one of"),
        (refuse(Quantize(), [INT8], [Operand((2,), "int8")]), "one positive scale"),
        (refuse(Quantize(), [INT8], [Operand((2,), "int8", [0.1, 0.2])]), "one positive scale"),
        (refuse(Quantize(), [INT8], [Operand((2,), "int8", 0.0)]), "one positive scale"),
        (refuse(Quantize(), [INT8], [Operand((3,), "int8", 0.1)]), "same shape"),
        (refuse(Quantize(), [INT8], [Operand((2,), "int8", 1e-20)]), "less than 2^30"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
