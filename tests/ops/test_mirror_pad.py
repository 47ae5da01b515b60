"""MIRROR_PAD: peers, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import check, refused

from thimble.ops.mirror_pad import MirrorPad

IMAGE = ints([[0, 0], [1, 3], [4, 0], [0, 0]])
ALL = ints([[0, 0], [1, 3], [5, 0], [2, 1]])
CASES = [
    case("image", MirrorPad("REFLECT"), [(1, 4, 5, 2), IMAGE], [(1, 8, 9, 2)]),
    case("image", MirrorPad("SYMMETRIC"), [(1, 4, 5, 2), ALL], [(1, 8, 10, 5)], "float32"),
    case("vector", MirrorPad("REFLECT"), [(4,), ints([[3, 3]], "int64")], [(10,)], "float32"),
    case("nothing", MirrorPad("REFLECT"), [(4,), ints([[0, 0]])], [(4,)]),
    case(
        "matrix",
        MirrorPad("SYMMETRIC"),
        [(3, 2), ints([[3, 1], [0, 2]])],
        [(7, 4)],
        "int16",
        exempt=NOT_IN_TFLM,
    ),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


ONE = ints([[1, 1]] * 4)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(MirrorPad(), [(4,), ints([[4, 0]])], [(8,)]), "not be larger"),
        (refuse(MirrorPad("SYMMETRIC"), [(4,), ints([[0, 5]])], [(9,)]), "not be larger"),
        (refuse(MirrorPad(), [(4,), ints([[0, -1]])], [(3,)]), "not negative"),
        (refuse(MirrorPad(), [(4,), ints([[1, 1]])], [(5,)]), "shape that follows"),
        (refuse(MirrorPad(), [(4,), (1, 2)], [(5,)]), "paddings must be constant"),
        (refuse(MirrorPad(), [(2,) * 4, ONE], [(4,) * 4]), "at most 3 dimensions"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
