"""SQUARED_DIFFERENCE: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import SHAPES, binary_case, broadcastable, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Exempt, Operand, check, refused

from thimble.ops.squared_difference import SquaredDifference

SEEDS = st.integers(0, 2**32 - 1)
MULTIPLIER = st.integers(2**30, 2**31 - 1)


def words_of(data, low, high):
    words = {"act_min": low, "act_max": high}
    for name in ("x1", "x2", "output"):
        words[f"{name}_multiplier"] = data.draw(MULTIPLIER)
        words[f"{name}_shift"] = data.draw(st.integers(-31, 0))
    return words


@given(broadcastable(), SEEDS, st.data())
@settings(max_examples=60, deadline=None)
def test_twin_s8(shapes, seed, data):
    words = words_of(data, -128, 127)
    for name in ("x1", "x2"):
        words[f"{name}_offset"] = data.draw(st.integers(-127, 128))
    words["output_offset"] = data.draw(st.integers(-128, 127))
    twins_agree("thm_squared_difference_s8", shapes, ["int8"] * 3, words, seed)


@given(broadcastable(), SEEDS, st.data())
@settings(max_examples=60, deadline=None)
def test_twin_s16(shapes, seed, data):
    words = words_of(data, -32768, 32767)
    twins_agree("thm_squared_difference_s16", shapes, ["int16"] * 3, words, seed)


@given(broadcastable(), SEEDS)
@settings(max_examples=40, deadline=None)
def test_twin_s32_and_f32(shapes, seed):
    twins_agree("thm_squared_difference_s32", shapes, ["int32"] * 3, {}, seed)
    twins_agree("thm_squared_difference_f32", shapes, ["float32"] * 3, {}, seed)


OP = SquaredDifference()
NO_INT16 = {"litert": Exempt("has no int16")}


def sensible(case: Case) -> Case:
    """The output scale that holds the largest square."""
    if case.outputs[0].dtype not in ("int8", "int16"):
        return case
    largest = max(t.scale for t in case.inputs) * 2 ** (
        8 if case.outputs[0].dtype == "int8" else 16
    )
    steps = 255 if case.outputs[0].dtype == "int8" else 32767
    scale = float(np.float32(largest**2 / steps))
    return replace(case, outputs=(replace(case.outputs[0], scale=scale),))


CASES = [
    sensible(case)
    for case in [
        *(binary_case(f"int8 {k}", OP, SHAPES[k], "int8", i) for i, k in enumerate(SHAPES)),
        binary_case("int8 large", OP, ((1, 40, 16, 8),) * 2, "int8", 20),
        binary_case("int16", OP, ((1, 40, 16, 8),) * 2, "int16", 21, exempt=NO_INT16),
        binary_case("int16 channel", OP, SHAPES["channel"], "int16", 22, exempt=NO_INT16),
        binary_case("int32", OP, SHAPES["pixel"], "int32", 23),
        binary_case("float32", OP, SHAPES["same"], "float32", 24),
        binary_case("float32 constant", OP, SHAPES["row"], "float32", 25, constant=1),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


INT8 = Operand((1, 4), "int8", 0.1)


@pytest.mark.parametrize(
    ("inputs", "output", "sentence"),
    [
        ((INT8,), INT8, "2 inputs"),
        ((INT8, INT8), replace(INT8, dtype="int16"), "dtypes must be one of"),
        ((INT8, replace(INT8, shape=(3,))), INT8, "must broadcast"),
        ((INT8, replace(INT8, scale=None)), INT8, "positive scale"),
        ((INT8, INT8), replace(INT8, scale=1e-9), "output scale must be above"),
    ],
)
def test_limits(inputs, output, sentence):
    assert sentence in refused(Case("limit", OP, inputs, (output,)))
