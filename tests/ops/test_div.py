"""DIV: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import SHAPES, binary_case, broadcastable, random_buffer, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Operand, check, model_of, refused

from thimble.ops.div import Div, _reciprocals
from thimble.runners.reference import ReferenceRunner

SEEDS = st.integers(0, 2**32 - 1)


@given(broadcastable(), SEEDS, st.integers(2**30, 2**31 - 1), st.integers(-31, 22), st.data())
@settings(max_examples=100, deadline=None)
def test_twin_s8(shapes, seed, multiplier, shift, data):
    offset = st.integers(-127, 128)
    words = {"multiplier": multiplier, "shift": shift, "act_min": -100, "act_max": 127}
    words |= {"x1_offset": data.draw(offset), "x2_offset": data.draw(offset)}
    words["output_offset"] = -data.draw(offset)
    twins_agree("thm_div_s8", shapes, ["int8"] * 3, words, seed, reciprocal=_reciprocals())


@given(broadcastable(), SEEDS)
@settings(max_examples=60, deadline=None)
def test_twin_s32_and_f32(shapes, seed):
    twins_agree("thm_div_s32", shapes, ["int32"] * 3, {}, seed)
    words = {"act_min": -3.4028235e38, "act_max": 6.0}
    twins_agree("thm_div_f32", shapes, ["float32"] * 3, words, seed)


def dividing(case: Case) -> Case:
    """The case without zero divisors, and y in a scale that keeps TFLM's shifts defined."""
    rng = np.random.default_rng(case.seed)
    first, second = case.inputs
    a = random_buffer(rng, int(np.prod(first.shape)), first.dtype).reshape(first.shape)
    b = random_buffer(rng, int(np.prod(second.shape)), second.dtype).reshape(second.shape)
    if first.dtype == "float32":
        a, b = rng.normal(0, 3, first.shape), rng.uniform(0.5, 3, second.shape)
        return replace(case, values=(a.astype(np.float32), b.astype(np.float32)))
    b = np.where(b == second.zero_point, b + 1 if second.zero_point < 127 else b - 1, b)
    y = case.outputs[0]
    if first.dtype == "int8":
        ratio = first.scale / second.scale
        y = replace(y, scale=float(np.float32(ratio * rng.uniform(0.003, 0.015))))
    return replace(case, values=(a, b.astype(second.dtype)), outputs=(y,))


NAMES = [name for name in SHAPES if name != "rank 6"]
CASES = [
    *(dividing(binary_case(f"int8 {k}", Div(), SHAPES[k], "int8", i)) for i, k in enumerate(NAMES)),
    *(
        dividing(binary_case(f"int8 large {i}", Div("RELU"), ((1, 40, 8, 8),) * 2, "int8", i))
        for i in range(4)
    ),
    dividing(binary_case("int32", Div(), SHAPES["same"], "int32", 20)),
    dividing(binary_case("int32 channel", Div(), SHAPES["channel"], "int32", 21)),
    dividing(binary_case("float32", Div(), SHAPES["pixel"], "float32", 22)),
    dividing(binary_case("float32 relu6", Div("RELU6"), SHAPES["same"], "float32", 23)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


@pytest.mark.parametrize("y_scale", [0.1, 0.5, 2.0, 40.0])
def test_quotients_too_small_for_the_shifts_of_tflm(y_scale):
    a, b = (v.astype(np.int8) for v in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    x1, x2 = Operand(a.shape, "int8", 0.05, -3), Operand(b.shape, "int8", 0.06, 7)
    y = Operand(a.shape, "int8", y_scale, 5)
    model = model_of(Case("small", Div(), (x1, x2), (y,)))
    (found,) = ReferenceRunner(model).run([a, b])
    u, v = 0.05 * (a + 3.0), 0.06 * (b - 7.0)
    with np.errstate(all="ignore"):
        wanted = np.clip(np.nan_to_num(u / v / y_scale, nan=0.0) + 5, -128, 127)
    assert np.abs(found - wanted).max() <= 0.51


INT8 = Operand((1, 4), "int8", 0.1)


@pytest.mark.parametrize(
    ("inputs", "output", "op", "sentence"),
    [
        ((INT8,), INT8, Div(), "2 inputs"),
        ((INT8, replace(INT8, dtype="int16")), INT8, Div(), "dtypes must be one of"),
        ((INT8, replace(INT8, shape=(3,))), INT8, Div(), "must broadcast"),
        ((INT8, INT8), INT8, Div("TANH"), "fused activation"),
        ((INT8, replace(INT8, scale=None)), INT8, Div(), "positive scale"),
        ((INT8, INT8), replace(INT8, scale=1e-9), Div(), "below 2^22"),
    ],
)
def test_limits(inputs, output, op, sentence):
    assert sentence in refused(Case("limit", op, inputs, (output,)))
