"""STRIDED_SLICE: peers, all masks against LiteRT, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import NOT_IN_TFLM, case, ints, refuse
from peers import require, run_litert
from single_op import Case, Operand, check, file_bytes, model_of, random_values, refused

from thimble.lower import lower
from thimble.memory import place
from thimble.ops.contract import NodeView
from thimble.ops.strided_slice import StridedSlice
from thimble.runners.program import ProgramRunner


def slicing(begin, end, strides):
    return [ints(begin), ints(end), ints(strides)]


CASES = [
    case(
        "rows",
        StridedSlice(),
        [(1, 7, 5, 4), *slicing([0, 1, 0, 0], [1, 7, 5, 4], [1, 2, 1, 1])],
        [(1, 3, 5, 4)],
    ),
    case(
        "every dimension",
        StridedSlice(),
        [(2, 7, 5, 4), *slicing([0, 1, 4, 1], [2, 6, 0, 3], [1, 2, -2, 1])],
        [(2, 3, 2, 2)],
        "int16",
    ),
    case(
        "causal",
        StridedSlice(end_mask=7),
        [(1, 9, 3), *slicing([0, -4, 0], [0, 0, 0], [1, 1, 1])],
        [(1, 4, 3)],
        "float32",
    ),
    case(
        "one element",
        StridedSlice(shrink_axis_mask=1),
        [(4,), *slicing([2], [3], [1])],
        [()],
        "int32",
    ),
    case(
        "last step",
        StridedSlice(begin_mask=5, end_mask=5, shrink_axis_mask=2),
        [(2, 6, 3), *slicing([0, -1, 0], [0, 0, 0], [1, 1, 1])],
        [(2, 3)],
    ),
    case("bool", StridedSlice(), [(6,), *slicing([4], [0], [-2])], [(2,)], "bool"),
    case(
        "fewer indices than dimensions",
        StridedSlice(),
        [(3, 4, 2), *slicing([1], [3], [1])],
        [(2, 4, 2)],
        exempt=NOT_IN_TFLM,
    ),
    case(
        "rank 5, offset",
        StridedSlice(offset=True),
        [(2, 3, 4, 2, 3), *slicing([0, 1, 0, -1, 0], [2, 2, 4, 1, 3], [1, 1, 3, 1, 2])],
        [(2, 2, 2, 1, 2)],
        "int64",
        exempt=NOT_IN_TFLM,
    ),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


def test_sequences_are_cut_row_by_row():
    (call,) = lower(model_of(CASES[0])).calls
    assert call.rows == 3
    assert (call.windows["x"].stride, call.windows["x"].pad) == (2, -1)


@st.composite
def slices(draw):
    """(shape, begin, end, strides, op): anything that LiteRT understands, masks included."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    count = draw(st.integers(1, len(shape)))
    if draw(st.booleans()):
        begin = [draw(st.integers(-size, size - 1)) for size in shape]
        end = [draw(st.integers(1, size - b % size)) for size, b in zip(shape, begin)]
        return shape, begin, end, [1] * len(shape), StridedSlice(offset=True)
    bounds = st.lists(st.integers(-6, 7), min_size=count, max_size=count)
    strides = draw(st.lists(st.sampled_from([-2, -1, 1, 2, 3]), min_size=count, max_size=count))
    mask = st.integers(0, 2**count - 1)
    ellipsis = draw(st.sampled_from([0, 0, 1, 2])) & draw(mask)
    masks = (draw(mask), draw(mask), ellipsis, draw(mask), draw(mask))
    return shape, draw(bounds), draw(bounds), strides, StridedSlice(*masks)


@given(slices(), st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_masks_agree_with_litert(cut, seed):
    require("litert")
    shape, begin, end, strides, op = cut
    inputs = [tuple(shape), *slicing(begin, end, strides)]
    probe = refuse(op, inputs, [(1,)])
    view = NodeView(model_of(probe).graph, 0)
    if not all(limit.holds(view) for limit in op.limits[:-1]):
        return  # refused for a reason of its own; only the shape of the probe is wrong on purpose
    wanted_shape = op.infer(view.inputs)[0].shape
    if 0 in wanted_shape:
        return  # LiteRT has no empty outputs to compare with
    c: Case = case("mask", op, inputs, [wanted_shape], seed=seed)
    values = random_values(c)
    (wanted,) = run_litert(file_bytes(c), values)
    program = lower(model_of(c))
    (found,) = ProgramRunner(program, place(program, "greedy")).run(values)
    np.testing.assert_array_equal(found, wanted)


INT16 = Operand((2,), "int16", 0.1)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(StridedSlice(), [(4,), (1,), (1,), (1,)], [(1,)]), "begin must be constant"),
        (refuse(StridedSlice(), [(4,), *slicing([0], [1], [0])], [(1,)]), "must not be 0"),
        (refuse(StridedSlice(), [(4,), *slicing([0], [1, 2], [1])], [(1,)]), "equally long"),
        (refuse(StridedSlice(), [(4,), *slicing([0, 0], [1, 1], [1, 1])], [(1,)]), "no more ind"),
        (
            refuse(
                StridedSlice(ellipsis_mask=3), [(4, 4), *slicing([0] * 2, [1] * 2, [1] * 2)], [()]
            ),
            "at most one ellipsis",
        ),
        (
            refuse(StridedSlice(shrink_axis_mask=1), [(4,), *slicing([4], [5], [1])], [()]),
            "a dropped axis",
        ),
        (
            refuse(StridedSlice(shrink_axis_mask=1), [(4,), *slicing([2], [1], [-1])], [()]),
            "a dropped axis",
        ),
        (
            refuse(StridedSlice(offset=True), [(4,), *slicing([2], [3], [1])], [(3,)]),
            "with offset",
        ),
        (refuse(StridedSlice(), [(4,), *slicing([0], [2], [1])], [(3,)]), "shape that follows"),
        (refuse(StridedSlice(), [(4,), *slicing([0], [2], [1])], [INT16]), "one dtype"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
