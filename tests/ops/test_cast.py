"""CAST: every pair of dtypes in twin and C, peers, out-of-range floats, limits."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from moving import NOT_IN_TFLM, refuse
from single_op import Case, Operand, check, constant, model_of, refused

from thimble.lower import lower
from thimble.memory import place
from thimble.ops.cast import ELEMENT_TYPES, Cast
from thimble.program import KERNELS
from thimble.runners.program import ProgramRunner

DTYPES = sorted(ELEMENT_TYPES)


def test_element_types_are_those_of_the_header():
    body = re.search(r"typedef enum \{(.*?)\} thm_dtype;", (KERNELS / "model.h").read_text(), re.S)
    assert body is not None
    names = [name.strip().removeprefix("THM_").lower() for name in body[1].split(",")]
    assert {name: i for i, name in enumerate(names)} == ELEMENT_TYPES


def elements(rng, dtype, count):
    if dtype == "float32":
        powers = rng.uniform(-2, 66, count)
        special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 0.5, -0.9, 2**31, -(2**31), 2**63])
        values = (rng.choice([-1, 1], count) * 2.0**powers).astype(np.float32)
        chosen = rng.integers(0, 3, count) == 0
        return np.where(chosen, rng.choice(special, count), values).astype(np.float32)
    if dtype == "bool":
        return rng.integers(0, 2, count).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, count, dtype, endpoint=True)


@given(
    st.sampled_from(DTYPES),
    st.sampled_from(DTYPES),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 6),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=300, deadline=None)
def test_twin(x_dtype, y_dtype, row, ring, y_first, seed):
    rng = np.random.default_rng(seed)
    words = {"row": row, "x_type": ELEMENT_TYPES[x_dtype], "y_type": ELEMENT_TYPES[y_dtype]}
    words |= {"x_ring": ring, "y_ring": ring + 1}
    x = elements(rng, x_dtype, ring * row).view(np.uint8)
    y = np.zeros((ring + 1) * row * np.dtype(y_dtype).itemsize, np.uint8)
    assert_twins_agree("thm_cast", words, {"x": x, "y": y}, y_first, ring)


FROM = ("float32", "int8", "int16", "int32", "bool", "uint32")
TO = ("float32", "int8", "int16", "int32", "uint32")


def cast_case(x, y, **more):
    return Case(
        f"{x} to {y}", Cast(x, y), (Operand((1, 6, 5), x),), (Operand((1, 6, 5), y),), **more
    )


CASES = [cast_case(x, y) for x in FROM for y in TO if x != y and (x, y) != ("float32", "uint32")]
CASES += [cast_case(x, "int64", exempt=NOT_IN_TFLM) for x in ("float32", "int32", "bool")]
CASES += [cast_case("int64", y, exempt=NOT_IN_TFLM) for y in ("float32", "int32")]
CASES += [cast_case(x, "bool", exempt=NOT_IN_TFLM) for x in ("float32", "int32")]
CASES += [cast_case("uint8", "float32", exempt=NOT_IN_TFLM)]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


def test_floats_out_of_range_saturate():
    c = cast_case("float32", "int8")
    x = np.zeros((1, 6, 5), np.float32)
    x.flat[:7] = [300, -300, np.nan, np.inf, -np.inf, 127.9, -128.9]
    program = lower(model_of(c))
    (y,) = ProgramRunner(program, place(program, "greedy")).run([x])
    assert y.flat[:7].tolist() == [127, -128, 0, 127, -128, 127, -128]


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (
            refuse(Cast(), [constant([1, 2], "float16")], [(2,)], "float32"),
            "input and output must be",
        ),
        (refuse(Cast(), [(2,)], [Operand((3,), "float32")], "int8"), "same shape"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
