"""MUL: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from elementwise import SHAPES, binary_case, broadcastable, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Exempt, Operand, check, refused

from thimble.ops.mul import Mul

SEEDS = st.integers(0, 2**32 - 1)
MULTIPLIER = st.integers(2**30, 2**31 - 1)


@given(broadcastable(), SEEDS, MULTIPLIER, st.integers(-31, 15), st.data())
@settings(max_examples=60, deadline=None)
def test_twin_s8(shapes, seed, multiplier, shift, data):
    offset = st.integers(-127, 128)
    words = {"multiplier": multiplier, "shift": shift, "act_min": -100, "act_max": 127}
    words |= {"x1_offset": data.draw(offset), "x2_offset": data.draw(offset)}
    words["output_offset"] = -data.draw(offset)
    twins_agree("thm_mul_s8", shapes, ["int8"] * 3, words, seed)


@given(broadcastable(), SEEDS, MULTIPLIER, st.integers(-31, 30))
@settings(max_examples=60, deadline=None)
def test_twin_s16(shapes, seed, multiplier, shift):
    words = {"multiplier": multiplier, "shift": shift, "act_min": -32768, "act_max": 32767}
    twins_agree("thm_mul_s16", shapes, ["int16"] * 3, words, seed)


@given(broadcastable(), SEEDS)
@settings(max_examples=40, deadline=None)
def test_twin_s32_and_f32(shapes, seed):
    twins_agree("thm_mul_s32", shapes, ["int32"] * 3, {}, seed)
    words = {"act_min": -3.4028235e38, "act_max": 6.0}
    twins_agree("thm_mul_f32", shapes, ["float32"] * 3, words, seed)


LITERT_INT16 = {"litert": Exempt("multiplies the scales in float32", 1)}
CASES = (
    [binary_case(f"int8 {name}", Mul(), SHAPES[name], "int8", i) for i, name in enumerate(SHAPES)]
    + [
        binary_case(f"int16 {name}", Mul(), SHAPES[name], "int16", i, exempt=LITERT_INT16)
        for i, name in enumerate(["same", "channel", "outer"])
    ]
    + [
        binary_case("int8 relu6 constant", Mul("RELU6"), SHAPES["channel"], "int8", 5, constant=1),
        binary_case("int8 large", Mul("RELU"), ((1, 40, 16, 8),) * 2, "int8", 6),
        binary_case("int16 large", Mul(), ((1, 40, 64, 8),) * 2, "int16", 7, exempt=LITERT_INT16),
        binary_case("int32", Mul(), SHAPES["pixel"], "int32", 8),
        binary_case("float32", Mul(), SHAPES["same"], "float32", 9),
        binary_case("float32 relu6", Mul("RELU6"), SHAPES["rank 6"], "float32", 10),
        binary_case("float32 constant", Mul(), SHAPES["scalar"], "float32", 11, constant=1),
    ]
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


INT8 = Operand((1, 4), "int8", 0.1)
INT32 = Operand((1, 4), "int32")


@pytest.mark.parametrize(
    ("inputs", "output", "op", "sentence"),
    [
        ((INT8,), INT8, Mul(), "2 inputs"),
        ((INT8, INT32), INT8, Mul(), "dtypes must be one of"),
        ((INT8, replace(INT8, shape=(3,))), INT8, Mul(), "must broadcast"),
        ((INT8, INT8), INT8, Mul("SIGN_BIT"), "fused activation"),
        ((INT8, replace(INT8, scale=0.0)), INT8, Mul(), "positive scale"),
        (
            (replace(INT8, dtype="int16", zero_point=2),) * 2,
            Operand((1, 4), "int16", 1.0),
            Mul(),
            "0",
        ),
        ((INT32, replace(INT32, scale=0.1)), INT32, Mul(), "no quantization"),
        ((INT8, INT8), replace(INT8, scale=1e-9), Mul(), "below 2^15"),
    ],
)
def test_limits(inputs, output, op, sentence):
    assert sentence in refused(Case("limit", op, inputs, (output,)))
