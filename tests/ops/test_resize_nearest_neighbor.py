"""RESIZE_NEAREST_NEIGHBOR: twin over rings and bands, peers, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import check, refused

from thimble.ops.resize_nearest_neighbor import ResizeNearestNeighbor

SIZE = st.integers(1, 7)


@given(SIZE, SIZE, SIZE, SIZE, st.integers(1, 9), st.data())
@settings(max_examples=100, deadline=None)
def test_twin(in_h, in_w, out_h, out_w, pixel, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x_ring, y_ring = data.draw(st.integers(1, in_h)), data.draw(st.integers(1, out_h))
    y_first = data.draw(st.integers(0, out_h - 1))
    y_count = data.draw(st.integers(0, min(y_ring, out_h - y_first)))
    words = {"in_w": in_w, "out_w": out_w, "pixel": pixel, "x_ring": x_ring, "y_ring": y_ring}
    buffers = {
        "x": rng.integers(0, 256, x_ring * in_w * pixel, np.uint8),
        "source_row": rng.integers(0, in_h, out_h, np.int32),
        "source_column": rng.integers(0, in_w, out_w, np.int32),
        "y": np.zeros(y_ring * out_w * pixel, np.uint8),
    }
    assert_twins_agree("thm_resize_nearest_neighbor", words, buffers, y_first, y_count)


SIZES = [((5, 4), (9, 7)), ((9, 8), (4, 3)), ((3, 3), (6, 6)), ((1, 5), (3, 11)), ((6, 7), (1, 1))]
MODES = [(False, False), (True, False), (False, True), (True, True)]
CASES = [
    case(
        f"{mode} {before} to {after}",
        ResizeNearestNeighbor(*mode),
        [(2, *before, 3), ints(after)],
        [(2, *after, 3)],
        dtype,
    )
    for dtype, modes in (("int8", MODES), ("float32", MODES[:2]), ("int16", MODES[2:3]))
    for mode in modes
    for before, after in SIZES
]
CASES += [
    case(
        "uint8",
        ResizeNearestNeighbor(),
        [(1, 2, 3, 1), ints([4, 6])],
        [(1, 4, 6, 1)],
        "uint8",
        exempt=NOT_IN_TFLM,
    )
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


IMAGE = (1, 4, 4, 2)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(ResizeNearestNeighbor(), [IMAGE, (2,)], [IMAGE]), "the size must be"),
        (refuse(ResizeNearestNeighbor(), [IMAGE, ints([-1, 4])], [IMAGE]), "1 to 32768 pixels"),
        (refuse(ResizeNearestNeighbor(), [IMAGE, ints([2, 2])], [IMAGE]), "shape that follows"),
        (refuse(ResizeNearestNeighbor(), [(4, 4), ints([2, 2])], [(2, 2)]), "rank 4"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
