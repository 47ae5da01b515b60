"""SOFTMAX: twins, every runner, every difference of inputs, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from single_op import Case, Exempt, Operand, check, model_of, refused

from thimble import fixedpoint
from thimble.lower import lower
from thimble.ops.softmax import (
    OUTPUT,
    Softmax,
    exp_table,
    exp_table_s16,
    last_axis_rows,
    reciprocal_table_s16,
)


@st.composite
def kernel_calls(draw):
    """Every kernel, with and without table, shifts to both ends, rings smaller than the tensor."""
    kernel = draw(st.sampled_from(["s8", "s8_s16", "s16", "f32"]))
    vectors, depth, rows = (draw(st.integers(1, n)) for n in (3, 40, 4))
    params = {
        "vectors": vectors,
        "depth": depth,
        "x_ring": draw(st.integers(1, rows + 1)),
        "y_ring": draw(st.integers(1, rows + 1)),
    }
    sizes = [params[ring] * vectors * depth for ring in ("x_ring", "y_ring")]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    buffers = {}
    if kernel == "f32":
        params["beta"] = draw(st.sampled_from([1.0, 0.25, 3.0]))
        x = rng.uniform(-40, 5, sizes[0]).astype(np.float32)
        y = np.zeros(sizes[1], np.float32)
    elif kernel == "s16":
        params |= {
            "multiplier": draw(st.one_of(st.just(0), st.integers(2**30, 2**31 - 1))),
            "shift": draw(st.integers(-31, 15)),
        }
        spread = draw(st.sampled_from([3, 500, 32768]))
        x = rng.integers(-spread, spread, sizes[0]).astype(np.int16)
        y = np.zeros(sizes[1], np.int16)
        buffers = {"exp_table": exp_table_s16(), "reciprocal_table": reciprocal_table_s16()}
    else:
        q, s = draw(st.integers(2**30, 2**31 - 1)), draw(st.integers(0, 31))
        reach = min(fixedpoint.input_radius(5, s) + 1, 256)
        params |= {"multiplier": q, "shift": s, "reach": reach}
        spread = draw(st.sampled_from([2, 20, 128]))
        x = rng.integers(-spread, spread, sizes[0]).astype(np.int8)
        y = np.zeros(sizes[1], np.int8 if kernel == "s8" else np.int16)
        buffers = {"table": exp_table(q, s, reach) if draw(st.booleans()) else None}
    first = draw(st.integers(0, rows - 1))
    count = draw(st.integers(1, rows - first))
    return f"thm_softmax_{kernel}", params, {"x": x, **buffers, "y": y}, first, count


@settings(max_examples=150, deadline=None)
@given(kernel_calls())
def test_twins(call):
    assert_twins_agree(*call)


def _case(name, shape, dtypes=("int8", "int8"), scale=0.1, zero_point=4, beta=1.0, **more):
    x_quant, y_quant = (None, 0), (None, 0)
    if dtypes in OUTPUT:
        x_quant = (scale, 0 if dtypes[0] == "int16" else zero_point)
        y_quant = OUTPUT[dtypes][:2]
    x, y = Operand(shape, dtypes[0], *x_quant), Operand(shape, dtypes[1], *y_quant)
    return Case(name, Softmax(beta), (x,), (y,), **more)


INT16 = ("int16", "int16")
# Up to 1 LSB in 3 of 520 elements where beta x scale is small; TFLM is what we follow.
LITERT_INT16 = {"litert": Exempt("LiteRT's int16 softmax differs from TFLM's", 1)}


def _cases() -> list[Case]:
    cases = []
    for shape in ((1, 12), (7, 3), (1, 5, 3, 10), (2, 4, 33), (9,), (1, 300), (4, 1)):
        label = "x".join(map(str, shape))
        for beta in (1.0, 0.7):
            cases.append(_case(f"{label}_f32_{beta}", shape, ("float32", "float32"), beta=beta))
        for scale in (0.11, 2.5):
            for y_dtype in ("int8", "int16"):
                name = f"{label}_int8_{y_dtype}_{scale}"
                cases.append(_case(name, shape, ("int8", y_dtype), scale, draws=1))
            name, small = f"{label}_int16_{scale}", scale / 500
            cases.append(_case(name, shape, INT16, small, draws=1, exempt=LITERT_INT16))
    return cases


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_agrees_everywhere(case):
    check(case)


@pytest.mark.parametrize("scale", [1e-4, 1 / 4096, 3e-4, 2e-2])
def test_every_difference_of_int16(scale):
    low = np.arange(-32768, 32768, dtype=np.int16)
    values = np.stack([np.full_like(low, 32767), low], axis=1)
    check(_case("all", values.shape, INT16, scale, values=(values,), exempt=LITERT_INT16))


@pytest.mark.parametrize("scale", [1e-7, 1e-3, 0.05, 0.5, 3.0, 1e6])
@pytest.mark.parametrize("y_dtype", ["int8", "int16"])
def test_every_difference_of_int8(scale, y_dtype):
    low = np.arange(-128, 128, dtype=np.int8)
    values = np.stack([np.full_like(low, 127), low], axis=1)
    check(_case("all", values.shape, ("int8", y_dtype), scale, values=(values,)))


@pytest.mark.parametrize("depth", [511, 512, 1025, 4095])
def test_many_equal_elements(depth):
    """From 512 equal elements on the peers abort in a shift by more than 31 bits."""
    aborts = {peer: Exempt("aborts: shift by 32 bits or more") for peer in ("tflm", "litert")}
    share = -127 if depth < 512 else -128
    case = _case(
        "equal",
        (1, depth),
        values=(np.full((1, depth), 5, np.int8),),
        expected=(np.full((1, depth), share, np.int8),),
        exempt=aborts if depth >= 512 else {},
    )
    check(case)


def test_nearly_the_scale_of_int16_output():
    """keyword_scrambled has 1/65535 where 1/65536 is meant; TFLM allows 0.1 %."""
    case = _case("near", (1, 2), ("int8", "int16"))
    check(replace(case, outputs=(replace(case.outputs[0], scale=1 / 65535),)))


def test_a_table_only_where_it_pays():
    few = lower(model_of(_case("few", (1, 10))))
    many = lower(model_of(_case("many", (64, 64))))
    assert few.calls[0].args["table"] is None
    assert many.calls[0].args["table"] is not None


def test_rows_are_dimension_1_of_a_single_image():
    assert last_axis_rows((1, 6, 5, 4)) == (6, 5, 4)
    assert last_axis_rows((1, 6, 4)) == (6, 1, 4)
    assert last_axis_rows((2, 6, 4)) == (1, 12, 4)
    assert last_axis_rows((4,)) == (1, 1, 4)


GOOD = _case("good", (2, 8))
X, Y = GOOD.inputs[0], GOOD.outputs[0]
assert X is not None
REFUSED = {
    "dtypes": (Softmax(1.0), X, replace(Y, dtype="uint8", zero_point=0)),
    "same shape": (Softmax(1.0), X, replace(Y, shape=(16,))),
    "rank 1": (Softmax(1.0), replace(X, shape=()), replace(Y, shape=())),
    "4095": (Softmax(1.0), replace(X, shape=(1, 4096)), replace(Y, shape=(1, 4096))),
    "per tensor": (Softmax(1.0), replace(X, scale=None), Y),
    "scale 1/256": (Softmax(1.0), X, replace(Y, scale=1 / 128)),
    "zero point -128": (Softmax(1.0), X, replace(Y, zero_point=0)),
    "beta must be finite": (Softmax(float("nan")), X, Y),
    "above 2^-26": (Softmax(0.0), X, Y),
    "in (0, 5) for int16": (
        Softmax(1.0),
        Operand((2, 8), "int16", 5.1),
        Operand((2, 8), "int16", 1 / 32768),
    ),
    "int16 input": (
        Softmax(1.0),
        Operand((2, 8), "int16", 0.1, 3),
        Operand((2, 8), "int16", 1 / 32768),
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_limits(sentence):
    op, x, y = REFUSED[sentence]
    assert sentence in refused(Case(sentence, op, (x,), (y,)))
