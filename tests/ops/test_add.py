"""ADD and SUB: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import SHAPES, binary_case, broadcastable, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Operand, check, refused

from thimble.ops.add import Add, Sub

SEEDS = st.integers(0, 2**32 - 1)
MULTIPLIER = st.integers(2**30, 2**31 - 1)
SHIFT = st.integers(-31, 0)


@given(broadcastable(), SEEDS, st.integers(0, 1), st.data())
@settings(max_examples=60, deadline=None)
def test_twin_s8(shapes, seed, subtract, data):
    offset = st.integers(-127, 128)
    words = {"subtract": subtract, "act_min": data.draw(st.integers(-128, 0)), "act_max": 127}
    for name in ("x1", "x2", "output"):
        words[f"{name}_offset"] = data.draw(offset)
        words[f"{name}_multiplier"] = data.draw(MULTIPLIER)
        words[f"{name}_shift"] = data.draw(SHIFT)
    words["output_offset"] = min(words["output_offset"], 127)
    twins_agree("thm_add_s8", shapes, ["int8"] * 3, words, seed)


@given(broadcastable(), SEEDS, st.integers(0, 1), st.data())
@settings(max_examples=60, deadline=None)
def test_twin_s16(shapes, seed, subtract, data):
    words = {"subtract": subtract, "act_min": -32768, "act_max": data.draw(st.integers(0, 32767))}
    for name in ("x1", "x2", "output"):
        words[f"{name}_multiplier"] = data.draw(MULTIPLIER)
        words[f"{name}_shift"] = data.draw(st.integers(-31, 0 if name == "output" else -1))
    twins_agree("thm_add_s16", shapes, ["int16"] * 3, words, seed)


@given(broadcastable(), SEEDS, st.integers(0, 1))
@settings(max_examples=40, deadline=None)
def test_twin_s32(shapes, seed, subtract):
    twins_agree("thm_add_s32", shapes, ["int32"] * 3, {"subtract": subtract}, seed)


@given(broadcastable(), SEEDS, st.integers(0, 1), st.sampled_from([-3.4028235e38, 0.0, -1.0]))
@settings(max_examples=40, deadline=None)
def test_twin_f32(shapes, seed, subtract, low):
    words = {"subtract": subtract, "act_min": low, "act_max": 6.0}
    twins_agree("thm_add_f32", shapes, ["float32"] * 3, words, seed)


CASES = [
    binary_case(f"ADD {dtype} {name}", Add(), SHAPES[name], dtype, seed)
    for dtype, names in {
        "int8": list(SHAPES),
        "int16": ["same", "channel"],
        "float32": ["same", "pixel", "rank 5"],
        "int32": ["same", "channel"],
    }.items()
    for seed, name in enumerate(names)
] + [
    binary_case("ADD int8 relu6 constant", Add("RELU6"), SHAPES["channel"], "int8", 5, constant=1),
    binary_case("ADD f32 relu constant", Add("RELU"), SHAPES["row"], "float32", 6, constant=0),
    binary_case("SUB int8", Sub(), SHAPES["outer"], "int8", 7, draws=6),
    binary_case("SUB int8 relu constant", Sub("RELU"), SHAPES["scalar"], "int8", 8, constant=1),
    binary_case("SUB int16", Sub("RELU_N1_TO_1"), ((1, 40, 16, 8),) * 2, "int16", 9),
    binary_case("SUB f32 relu6", Sub("RELU6"), SHAPES["rank 6"], "float32", 10),
    binary_case("SUB int32", Sub(), SHAPES["first is scalar"], "int32", 11),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


def test_x_plus_x_reads_one_tensor_twice():
    x = Operand((1, 6, 2, 3), "int8", 0.1, 3)
    case = Case("x + x", Add(), (x,), (replace(x, scale=0.2),))
    from models import ModelBuilder

    from thimble.lower import lower
    from thimble.memory import place
    from thimble.runners.program import ProgramRunner

    builder = ModelBuilder()
    index = builder.input("x", x.shape, "int8", 0.1, 3)
    y = builder.op(case.op, [index, index], [(x.shape, "int8", 0.2, 3)])
    program = lower(builder.build([y]))
    values = np.arange(36, dtype=np.int8).reshape(x.shape)
    (found,) = ProgramRunner(program, place(program, "greedy")).run([values])
    np.testing.assert_array_equal(found, values)


INT8 = Operand((1, 4), "int8", 0.1)
INT32 = Operand((1, 4), "int32")


@pytest.mark.parametrize(
    ("inputs", "output", "op", "sentence"),
    [
        ((INT8, INT8, INT8), INT8, Add(), "2 inputs"),
        ((INT8, INT32), INT8, Add(), "dtypes must be one of"),
        ((INT8, replace(INT8, shape=(3,))), INT8, Sub(), "must broadcast"),
        ((INT8, INT8), replace(INT8, shape=(2, 4)), Sub(), "must broadcast"),
        ((replace(INT8, shape=(1,) * 7),) * 2, replace(INT8, shape=(1,) * 7), Add(), "rank 6"),
        ((INT8, INT8), INT8, Add("TANH"), "fused activation"),
        ((INT32, INT32), INT32, Add("RELU"), "NONE for int32"),
        ((INT8, replace(INT8, scale=None)), INT8, Add(), "positive scale"),
        ((replace(INT8, dtype="int16"),) * 2, Operand((1, 4), "int16", 0.1, 1), Add(), "point 0"),
        ((INT32, replace(INT32, scale=0.1)), INT32, Add(), "no quantization"),
        ((INT8, INT8), replace(INT8, scale=1e-8), Sub(), "output scale must be above"),
    ],
)
def test_limits(inputs, output, op, sentence):
    assert sentence in refused(Case("limit", op, inputs, (output,)))
