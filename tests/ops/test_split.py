"""SPLIT and SPLIT_V: peers, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import check, refused

from thimble.ops.split import Split, SplitV

CASES = [
    case("channels", Split(2), [ints([3]), (1, 5, 4, 6)], [(1, 5, 4, 3)] * 2),
    case("height", Split(3), [ints([1]), (1, 6, 4, 3)], [(1, 2, 4, 3)] * 3, "int16"),
    case("scalar axis", Split(3), [ints(1), (2, 6)], [(2, 2)] * 3, "float32"),
    case("negative axis", Split(2), [ints([-1]), (2, 6)], [(2, 3)] * 2, exempt=NOT_IN_TFLM),
    case("batch", Split(2), [ints([0]), (2, 3, 4)], [(1, 3, 4)] * 2, "int32"),
    case(
        "sizes", SplitV(3), [(1, 7, 3), ints([1, 4, 2]), ints([1])], [(1, k, 3) for k in (1, 4, 2)]
    ),
    case("rest", SplitV(2), [(3, 7), ints([2, -1]), ints([1])], [(3, 2), (3, 5)], "float32"),
    case("one", SplitV(1), [(3, 7), ints([7]), ints([1])], [(3, 7)], "int16"),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Split(2), [ints([2]), (4, 4)], [(4, 2)] * 2), "the axis must be one"),
        (refuse(Split(2), [ints([1, 0]), (4, 4)], [(4, 2)] * 2), "the axis must be one constant"),
        (refuse(Split(3), [ints([1]), (4, 4)], [(4, 2)] * 2), "num_splits"),
        (refuse(Split(0), [ints([1]), (4, 4)], [(4, 4)]), "num_splits"),
        (refuse(Split(2), [ints([1]), (4, 4)], [(4, 3)] * 2), "shape that follows"),
        (refuse(Split(2), [ints([0]), ()], [()] * 2), "rank 1 to 6"),
        (refuse(SplitV(2), [(4, 4), ints([3, 2]), ints(1)], [(4, 3), (4, 2)]), "add up"),
        (refuse(SplitV(2), [(4, 4), ints([-1, -1]), ints(1)], [(4, 2)] * 2), "add up"),
        (refuse(SplitV(2), [(4, 4), ints([5, -1]), ints(1)], [(4, 2)] * 2), "add up"),
        (refuse(SplitV(2), [(4, 4), ints([4]), ints(1)], [(4, 2)] * 2), "a size for each"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
