"""DEPTH_TO_SPACE and SPACE_TO_DEPTH: peers, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, case, refuse
from single_op import check, refused

from thimble.ops.depth_to_space import DepthToSpace, SpaceToDepth

CASES = [
    case("depth to space", DepthToSpace(2), [(2, 3, 4, 12)], [(2, 6, 8, 3)]),
    case("depth to space", DepthToSpace(3), [(1, 1, 2, 9)], [(1, 3, 6, 1)], "float32"),
    case("block 1", DepthToSpace(1), [(1, 2, 2, 3)], [(1, 2, 2, 3)]),
    case("to space", DepthToSpace(2), [(1, 3, 4, 4)], [(1, 6, 8, 1)], "int32", exempt=NOT_IN_TFLM),
    case("space to depth", SpaceToDepth(2), [(2, 6, 8, 3)], [(2, 3, 4, 12)]),
    case("space to depth", SpaceToDepth(3), [(1, 3, 6, 1)], [(1, 1, 2, 9)], "float32"),
    case("to depth", SpaceToDepth(2), [(1, 6, 8, 1)], [(1, 3, 4, 4)], "int32", exempt=NOT_IN_TFLM),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(DepthToSpace(0), [(1, 2, 2, 4)], [(1, 4, 4, 1)]), "at least 1"),
        (refuse(DepthToSpace(2), [(1, 2, 2, 3)], [(1, 4, 4, 1)]), "multiple of block_size^2"),
        (refuse(DepthToSpace(2), [(2, 2, 4)], [(4, 4, 1)]), "rank 4"),
        (refuse(DepthToSpace(2), [(1, 2, 2, 4)], [(1, 4, 2, 2)]), "shape that follows"),
        (refuse(SpaceToDepth(-1), [(1, 2, 2, 3)], [(1, 1, 1, 12)]), "at least 1"),
        (refuse(SpaceToDepth(2), [(1, 2, 3, 3)], [(1, 1, 1, 12)]), "multiples of block_size"),
        (refuse(SpaceToDepth(2), [(1, 2, 2, 3)], [(1, 1, 2, 6)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
