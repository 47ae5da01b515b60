"""EXPAND_DIMS: peers, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import check, refused

from thimble.ops.expand_dims import ExpandDims

CASES = [
    case("first", ExpandDims(), [(5, 3), ints([0])], [(1, 5, 3)]),
    case("middle", ExpandDims(), [(5, 3), ints([1])], [(5, 1, 3)], "float32"),
    case("last", ExpandDims(), [(5, 3), ints([-1])], [(5, 3, 1)], "int16"),
    case("scalar", ExpandDims(), [(), ints(0)], [(1,)]),
    case("int32", ExpandDims(), [(5, 3), ints([2])], [(5, 3, 1)], "int32", exempt=NOT_IN_TFLM),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(ExpandDims(), [(5,), ints([2])], [(5, 1)]), "the axis must be one of"),
        (refuse(ExpandDims(), [(5,), ints([0, 1])], [(5, 1)]), "one constant"),
        (refuse(ExpandDims(), [(5,), (1,)], [(5, 1)]), "one constant"),
        (refuse(ExpandDims(), [(5,), ints([0])], [(5, 1)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
