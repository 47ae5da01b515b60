"""RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1, LEAKY_RELU: twins, peers over every int8, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import any_shape, random_quants, unary_case, unary_twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Exempt, Operand, check, refused

from thimble.ops.relu import LeakyRelu, Relu, Relu0To1, Relu6, ReluN1To1

SEEDS = st.integers(0, 2**32 - 1)
MULTIPLIER = st.integers(2**30, 2**31 - 1)
SHIFT = st.integers(-31, 30)


@given(any_shape(), SEEDS, MULTIPLIER, SHIFT, MULTIPLIER, SHIFT, st.booleans())
@settings(max_examples=100, deadline=None)
def test_twin_s16(shape, seed, positive, positive_shift, negative, negative_shift, flip):
    words = {"multiplier": positive, "shift": positive_shift, "act_min": 0, "act_max": 9999}
    unary_twins_agree("thm_relu_s16", shape, "int16", words, seed)
    words = {
        "positive_multiplier": positive,
        "positive_shift": positive_shift,
        "negative_multiplier": -negative if flip else negative,
        "negative_shift": negative_shift,
    }
    unary_twins_agree("thm_leaky_relu_s16", shape, "int16", words, seed)


@given(any_shape(), SEEDS, st.floats(-2, 2, width=32))
@settings(max_examples=60, deadline=None)
def test_twin_f32(shape, seed, alpha):
    words = {"act_min": 0.0, "act_max": float("inf")}
    unary_twins_agree("thm_relu_f32", shape, "float32", words, seed)
    unary_twins_agree("thm_leaky_relu_f32", shape, "float32", {"alpha": alpha}, seed)


ALPHAS = [float(np.float32(a)) for a in (0.1, -0.3, 2.5, 0.0)]
RELU6_TFLM = {"tflm": Exempt("ignores the output's quantization")}
NOT_IN_TFLM = {"tflm": Exempt("has no such op")}
LITERT_INT16 = {"litert": Exempt("computes the ratio of the scales in float32", 1)}


def int16_quants(seed: int):
    return tuple((scale, 0) for scale, _ in random_quants(seed, -5, -3))


CASES = [
    *(unary_case(f"RELU int8 {i}", Relu(), "int8", random_quants(i)) for i in range(8)),
    *(
        unary_case(f"RELU6 int8 same {i}", Relu6(), "int8", (random_quants(i)[0],) * 2)
        for i in range(6)
    ),
    *(
        unary_case(f"RELU6 int8 rescaled {i}", Relu6(), "int8", random_quants(i), exempt=RELU6_TFLM)
        for i in range(6)
    ),
    *(
        unary_case(
            f"{op.name} int8 {i}", op, "int8", random_quants(i, -2.5, -1), exempt=NOT_IN_TFLM
        )
        for op in (ReluN1To1(), Relu0To1())
        for i in range(4)
    ),
    *(
        unary_case(f"LEAKY_RELU int8 {alpha} {i}", LeakyRelu(alpha), "int8", random_quants(i))
        for alpha in ALPHAS
        for i in range(4)
    ),
    unary_case("RELU int16", Relu(), "int16", int16_quants(1), exempt=LITERT_INT16),
    unary_case("RELU6 int16 same", Relu6(), "int16", ((3e-4, 0), (3e-4, 0))),
    *(  # where the ratio of the scales is exact also in float32
        unary_case(f"RELU6 int16 x{k}", Relu6(), "int16", ((3e-4, 0), (q, 0)), exempt=RELU6_TFLM)
        for k, q in ((0.5, 1.5e-4), (2, 6e-4))
    ),
    *(
        unary_case(
            f"LEAKY_RELU int16 {a}", LeakyRelu(a), "int16", int16_quants(3), exempt=LITERT_INT16
        )
        for a in ALPHAS
    ),
    unary_case("RELU f32", Relu(), "float32"),
    unary_case("RELU6 f32", Relu6(), "float32", seed=1),
    unary_case("RELU_N1_TO_1 f32", ReluN1To1(), "float32", exempt=NOT_IN_TFLM),
    unary_case("RELU_0_TO_1 f32", Relu0To1(), "float32", exempt=NOT_IN_TFLM),
    *(unary_case(f"LEAKY_RELU f32 {a}", LeakyRelu(a), "float32") for a in ALPHAS),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


def test_floats_that_are_not_numbers_pass():
    x = np.float32([[np.nan, np.inf, -np.inf, -0.0]])
    (y,) = Relu().real(x)
    np.testing.assert_array_equal(y, np.float32([[np.nan, np.inf, 0, -0.0]]))
    case = Case("nan", Relu(), (Operand((1, 4), "float32"),), (Operand((1, 4), "float32"),))
    check(replace(case, values=(x,)))


INT8 = Operand((1, 4), "int8", 0.1)


@pytest.mark.parametrize(
    ("op", "inputs", "output", "sentence"),
    [
        (Relu(), (INT8, INT8), INT8, "1 input and 1 output"),
        (Relu6(), (Operand((1, 4), "int32"),), Operand((1, 4), "int32"), "dtypes must be one of"),
        (Relu(), (INT8,), replace(INT8, shape=(5,)), "same shape"),
        (LeakyRelu(), (replace(INT8, scale=None),), INT8, "positive scale"),
        (Relu(), (INT8,), replace(INT8, scale=1e-8), "below 2^22"),
        (LeakyRelu(2.0**30), (INT8,), INT8, "below 2^22"),
        (LeakyRelu(float("inf")), (INT8,), INT8, "below 2^22"),
    ],
)
def test_limits(op, inputs, output, sentence):
    assert sentence in refused(Case("limit", op, inputs, (output,)))
