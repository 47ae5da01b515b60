"""ADD and SUB: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import SHAPES, binary_case, broadcastable, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import run_twin
from single_op import Case, Operand, check, refused

from thimble.fixedpoint import quantize_multiplier
from thimble.ops import broadcast
from thimble.ops.add import Add, Sub, as_affine

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


@given(broadcastable(), SEEDS, st.data())
@settings(max_examples=60, deadline=None)
def test_twin_affine_s8(shapes, seed, data):
    factor = st.integers(-(2**22), 2**22)
    words = {name: data.draw(factor) for name in ("x1_factor", "x2_factor")}
    words["constant"] = data.draw(st.integers(-(2**30) + 1, 2**30 - 1))
    words["shift"] = data.draw(st.integers(0, 26))
    words |= {"act_min": data.draw(st.integers(-128, 0)), "act_max": data.draw(st.integers(0, 127))}
    twins_agree("thm_add_affine_s8", shapes, ["int8"] * 3, words, seed)


def _results(kernel, words):
    """[256, 256] outputs of a kernel for all pairs of operands."""
    found = broadcast.loops([(256, 1), (1, 256)], (256, 256), ["x1", "x2"])
    x, y = np.arange(-128, 128).astype(np.int8), np.zeros(65536, np.int8)
    buffers = {"x1": x, "x2": x, "walk": found.walk, "y": y}
    run_twin(kernel, {**found.words, **words}, buffers, 0, found.rows)
    return y.reshape(256, 256)


SCALE = st.floats(0.002, 0.1)
ZEROS = st.tuples(*[st.integers(-128, 127)] * 3)


@given(SCALE, SCALE, SCALE, ZEROS, st.integers(0, 1), st.integers(-128, 0))
@settings(max_examples=30, deadline=None)
def test_affine_form_gives_the_same_for_all_operands(s1, s2, so, zeros, subtract, low):
    words = {"subtract": subtract, "act_min": low, "act_max": 127}
    words |= {"x1_offset": -zeros[0], "x2_offset": -zeros[1], "output_offset": zeros[2]}
    twice = 2 * max(s1, s2)
    factors = {"x1": s1 / twice, "x2": s2 / twice, "output": twice / (2.0**20 * so)}
    for name, factor in factors.items():
        multiplier, shift = quantize_multiplier(factor)
        words |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
    found = as_affine(words, (s1 / so, -s2 / so if subtract else s2 / so))
    if found is not None:
        clamps = {"act_min": low, "act_max": 127}
        expected = _results("thm_add_s8", words)
        assert np.array_equal(_results("thm_add_affine_s8", vars(found) | clamps), expected)


def test_affine_form_is_found_even_of_halves():
    words = {"subtract": 0, "act_min": -128, "act_max": 127}
    words |= {"x1_offset": 3, "x2_offset": -4, "output_offset": 5}
    for so in (0.05, 0.0613, 0.1):  # the last rounds halves away from zero on both sides
        for name, factor in (("x1", 0.5), ("x2", 0.5), ("output", 0.1 / (2.0**20 * so))):
            multiplier, shift = quantize_multiplier(factor)
            words |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
        assert as_affine(words, (0.05 / so, 0.05 / so)) is not None
        assert as_affine(words, (0.04 / so, 0.05 / so)) is None


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
