"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN: twins, every runner, limits."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from single_op import Case, Exempt, Operand, check, constant, model_of, refused

from thimble.lower import lower
from thimble.ops.reduce import Mean, ReduceMax, ReduceMin, Sum, divided_multiplier, loops

DTYPES = {"s8": "int8", "s16": "int16", "f32": "float32"}


@st.composite
def kernel_calls(draw):
    """Any loops, multipliers to the ends of their range, rings smaller than the tensor."""
    kind = draw(st.sampled_from(["sum", "max", "min"]))
    suffix = draw(st.sampled_from(list(DTYPES)))
    words = ("outer", "red0", "mid", "red1", "inner")
    params = {word: draw(st.sampled_from([1, 2, 3, 5, 8])) for word in words}
    rows = draw(st.integers(1, 4))
    params |= {"x_ring": draw(st.integers(1, rows + 1)), "y_ring": draw(st.integers(1, rows + 1))}
    x_size = prod(params[word] for word in words) * params["x_ring"]
    y_size = params["outer"] * params["mid"] * params["inner"] * params["y_ring"]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if suffix == "f32":
        x = rng.normal(size=x_size).astype(np.float32)
        x[rng.integers(0, 9, x_size) == 0] = draw(st.sampled_from([-0.0, np.nan, np.inf]))
        if kind == "sum":
            params |= {"divisor": draw(st.sampled_from([1.0, 3.0, 64.0]))}
            x = np.nan_to_num(x, nan=1.0)  # the bits of a NaN sum depend on the operands' order
    else:
        info = np.iinfo(DTYPES[suffix])
        x = rng.integers(info.min, info.max, x_size, DTYPES[suffix], endpoint=True)
        x[rng.integers(0, 4, x_size) == 0] = info.min
        if kind == "sum":
            count = params["red0"] * params["red1"]
            params |= {
                "start": count * draw(st.sampled_from([0, info.min, info.max, 3])),
                "multiplier": draw(st.one_of(st.just(0), st.integers(2**29, 2**31 - 1))),
                "shift": draw(st.integers(-31, 30)),
                "output_offset": draw(st.sampled_from([0, info.min, info.max, -4])),
            }
    first = draw(st.integers(0, rows - 1))
    y = np.zeros(y_size, x.dtype)
    count = draw(st.integers(1, rows - first))
    return f"thm_reduce_{kind}_{suffix}", params, {"x": x, "y": y}, first, count


@settings(max_examples=150, deadline=None)
@given(kernel_calls())
def test_twins(call):
    assert_twins_agree(*call)


@st.composite
def shapes_and_axes(draw):
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=6)))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), max_size=len(shape), unique=True))
    return shape, axes, draw(st.booleans())


@given(shapes_and_axes())
def test_loops_are_the_reduction(drawn):
    """The five loops per row, laid over x as it lies in memory, are NumPy's reduction."""
    shape, axes, keep_dims = drawn
    found = loops(shape, sorted(axes), keep_dims)
    if found is None:
        return
    x = np.arange(prod(shape)).reshape(shape)
    cut = x.reshape(found.rows, found.outer, found.red0, found.mid, found.red1, found.inner)
    expected = x.sum(axis=tuple(axes), keepdims=keep_dims)
    np.testing.assert_array_equal(cut.sum(axis=(2, 4)).reshape(expected.shape), expected)


@given(st.integers(1, 2**23 - 1), st.integers(2**30, 2**31 - 1), st.integers(-31, 30))
def test_divided_multiplier_stays_in_the_kernels_range(count, q, s):
    divided, shift = divided_multiplier(q, s, count)
    assert 0 <= divided < 2**31
    assert -31 <= shift <= 31


def _case(name, op, shape, axes, dtype="int8", x_quant=(0.05, 3), y_quant=(0.05, 3), **more):
    if dtype == "float32":
        x_quant = y_quant = (None, 0)
    elif dtype == "int16":
        x_quant, y_quant = (x_quant[0], 0), (y_quant[0], 0)
    x = Operand(shape, dtype, *x_quant)
    given_axes = constant(axes, "int32")
    (inferred,) = op.infer([x, given_axes])
    return Case(name, op, (x, given_axes), (Operand(inferred.shape, dtype, *y_quant),), **more)


REDUCTIONS = {
    # name: (shape, axes, keep_dims)
    "global_average": ((1, 7, 5, 9), [1, 2], True),
    "global_average_flat": ((1, 6, 6, 16), [1, 2], False),
    "batch": ((3, 4, 4, 6), [1, 2], True),
    "channels": ((1, 5, 4, 10), [-1], True),
    "width": ((1, 4, 6, 3), [2], False),
    "height": ((1, 8, 3, 5), [1], False),
    "time": ((1, 49, 12), [1], True),
    "two_runs": ((2, 3, 4, 5), [0, 2], False),
    "all": ((2, 3, 5), [0, 1, 2], False),
    "vector": ((11,), [0], True),
    "twice_the_same_axis": ((1, 4, 4, 3), [1, -3], True),
    "power_of_two": ((1, 8, 8, 4), [1, 2], False),
    "one_element": ((1, 1, 1, 8), [1, 2], True),
}
LITERT_MEAN = Exempt("LiteRT's MEAN rounds in another place", 1)
LITERT_SUM = Exempt("LiteRT's reference SUM ignores quantization")


def _cases() -> list[Case]:
    cases = []
    for k, (name, (shape, axes, keep_dims)) in enumerate(REDUCTIONS.items()):
        for dtype in ("int8", "int16", "float32"):
            for op_class in (Mean, Sum):
                exempt = {}
                if dtype != "float32":
                    exempt = {"litert": LITERT_SUM if op_class is Sum else LITERT_MEAN}
                cases.append(
                    _case(
                        f"{op_class.name}_{name}_{dtype}",
                        op_class(keep_dims),
                        shape,
                        axes,
                        dtype,
                        (0.05, (-128, 3, 0, 127)[k % 4]),
                        ((0.02, 0.05, 0.4)[k % 3], (5, -128, 0)[k % 3]),
                        draws=1,
                        seed=k,
                        exempt=exempt,
                    )
                )
        for op_class, dtype in ((ReduceMax, "int8"), (ReduceMin, "int16"), (ReduceMax, "float32")):
            refuses = {"tflm": Exempt("TFLM has no int16 extremes")} if dtype == "int16" else {}
            label = f"{op_class.name}_{name}_{dtype}"
            cases.append(
                _case(label, op_class(keep_dims), shape, axes, dtype, draws=1, exempt=refuses)
            )
    return cases


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_agrees_everywhere(case):
    check(case)


def test_mean_of_many_scales():
    """The mean's multiplier over a thousand-fold range of scales, against TFLM alone."""
    for k, ratio in enumerate((0.001, 0.3, 1.0, 7.7, 1000.0)):
        quant = {"x_quant": (0.05, 3), "y_quant": (0.05 / ratio, -100)}
        case = _case("scales", Mean(True), (1, 5, 7, 6), [1, 2], seed=k, **quant)
        check(replace(case, exempt={"litert": LITERT_MEAN}))


INT8 = Operand((1, 4, 4, 2), "int8", 0.1, 3)
OUT = Operand((1, 2), "int8", 0.1, 3)
AXES = constant([1, 2], "int32")
REFUSED = {
    "dtypes": (Mean(), (replace(INT8, dtype="int32"), AXES), OUT),
    "the axes must be a constant": (Mean(), (INT8, Operand((2,), "int32")), OUT),
    "dimensions of the input": (Mean(), (INT8, constant([1, 4], "int32")), OUT),
    "empty": (Mean(), (replace(INT8, shape=(1, 0, 4, 2)), AXES), OUT),
    "that the axes leave": (Mean(), (INT8, AXES), replace(OUT, shape=(1, 1, 1, 2))),
    "two runs": (
        Sum(),
        (replace(INT8, shape=(2, 2, 2, 2, 2)), constant([0, 2, 4], "int32")),
        replace(OUT, shape=(2, 2)),
    ),
    "per tensor": (Mean(), (replace(INT8, scale=None), AXES), OUT),
    "elements may be added": (
        Mean(),
        (Operand((1, 256, 256, 1), "int16", 0.1), AXES),
        Operand((1, 1), "int16", 0.1),
    ),
    "zero point 0": (
        Mean(),
        (Operand((1, 4, 4, 2), "int16", 0.1, 1), AXES),
        Operand((1, 2), "int16", 0.1),
    ),
    "2^30": (Mean(), (INT8, AXES), replace(OUT, scale=1e-12)),
    "same scale": (ReduceMax(), (INT8, AXES), replace(OUT, scale=0.2)),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_limits(sentence):
    op, inputs, y = REFUSED[sentence]
    assert sentence in refused(Case(sentence, op, inputs, (y,)))


def test_mean_over_the_image_needs_no_scratch():
    program = lower(model_of(_case("scratch", Mean(), (1, 8, 8, 32), [1, 2])))
    assert not [b for b in program.buffers if b.role == "scratch"]
