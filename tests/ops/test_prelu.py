"""PRELU: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import SHAPES, binary_case, broadcastable, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Exempt, Operand, check, refused

from thimble.ops.prelu import Prelu

MULTIPLIER = st.integers(2**30, 2**31 - 1)


@given(broadcastable(), st.integers(0, 2**32 - 1), st.sampled_from(["int8", "int16"]), st.data())
@settings(max_examples=100, deadline=None)
def test_twin_integers(shapes, seed, dtype, data):
    wide = dtype == "int16"
    words = {"x1_offset": 0 if wide else data.draw(st.integers(-127, 128))}
    words["x2_offset"] = data.draw(st.integers(-127, 128))
    words["output_offset"] = 0 if wide else data.draw(st.integers(-128, 127))
    words |= {"act_min": -32768, "act_max": 32767} if wide else {"act_min": -128, "act_max": 127}
    for name in ("positive", "negative"):
        words[f"{name}_multiplier"] = data.draw(MULTIPLIER)
        words[f"{name}_shift"] = data.draw(st.integers(-31, 30 if wide else 15))
    kernel = "thm_prelu_s16" if wide else "thm_prelu_s8"
    twins_agree(kernel, shapes, [dtype, "int8", dtype], words, seed)


@given(broadcastable(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_twin_f32(shapes, seed):
    twins_agree("thm_prelu_f32", shapes, ["float32"] * 3, {}, seed)


# TFLM broadcasts neither side beyond rank 4; alpha is [1, 1, C] in every model that was trained.
NAMES = ["same", "same batched", "scalar", "channel", "row", "pixel"]


def int16_case(name: str, seed: int) -> Case:
    """x int16, alpha int8."""
    case = binary_case(f"int16 {name}", Prelu(), SHAPES[name], "int16", seed)
    alpha = Operand(SHAPES[name][1], "int8", 0.01, 5)
    exempt = {"litert": Exempt("has no int16")}
    return replace(case, inputs=(case.inputs[0], alpha), exempt=exempt)


CASES = [
    *(binary_case(f"int8 {k}", Prelu(), SHAPES[k], "int8", i) for i, k in enumerate(NAMES)),
    *(binary_case(f"f32 {k}", Prelu(), SHAPES[k], "float32", i) for i, k in enumerate(NAMES)),
    binary_case("int8 constant", Prelu(), SHAPES["row"], "int8", 9, constant=1),
    binary_case(
        "int8 outer",
        Prelu(),
        SHAPES["outer"],
        "int8",
        12,
        exempt={"litert": Exempt("wants x in the shape of y")},
    ),
    int16_case("same", 10),
    int16_case("channel", 11),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


INT8 = Operand((1, 4), "int8", 0.1)


@pytest.mark.parametrize(
    ("inputs", "output", "sentence"),
    [
        ((INT8,), INT8, "2 inputs"),
        ((INT8, replace(INT8, dtype="float32")), INT8, "dtypes must be one of"),
        ((INT8, replace(INT8, shape=(3, 1))), INT8, "must broadcast"),
        ((INT8, replace(INT8, scale=None)), INT8, "positive scale"),
        ((INT8, INT8), replace(INT8, scale=1e-7), "below 2^15"),
    ],
)
def test_limits(inputs, output, sentence):
    assert sentence in refused(Case("limit", Prelu(), inputs, (output,)))


def test_real_keeps_the_sign_of_zero():
    x = np.array([-0.0, 0.0, -2.0], np.float32)
    (y,) = Prelu().real(x, np.float32([0.5, 0.5, 0.5]))
    np.testing.assert_array_equal(np.signbit(y), [True, False, True])
