"""RESIZE_BILINEAR: twins over rings and bands, peers, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import Operand, check, refused

from thimble.ops.resize_bilinear import ResizeBilinear

SIZE = st.integers(1, 9)


@given(SIZE, SIZE, SIZE, SIZE, st.integers(1, 3), st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_twins(in_h, in_w, out_h, out_w, depth, half, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    y_ring = data.draw(st.integers(1, out_h))
    y_first = data.draw(st.integers(0, out_h - 1))
    y_count = data.draw(st.integers(0, min(y_ring, out_h - y_first)))
    common = {"in_h": in_h, "in_w": in_w, "out_w": out_w, "depth": depth}
    common |= {"x_ring": data.draw(st.integers(1, in_h)), "y_ring": y_ring}
    elements = common["x_ring"] * in_w * depth, y_ring * out_w * depth
    for suffix, dtype in (("s8", np.int8), ("s16", np.int16)):
        scales = [(1024 * a + b // 2) // b for a, b in ((in_h, out_h), (in_w, out_w))]
        words = common | {"scale_h": scales[0], "scale_w": scales[1]}
        words |= {"offset_h": half * (scales[0] // 2 - 512)}
        words |= {"offset_w": half * (scales[1] // 2 - 512)}
        info = np.iinfo(dtype)
        x = rng.choice(np.array([info.min, info.min + 1, -1, 0, 5, info.max], dtype), elements[0])
        buffers = {"x": x, "y": np.zeros(elements[1], dtype)}
        assert_twins_agree(f"thm_resize_bilinear_{suffix}", words, buffers, y_first, y_count)
    words = common | {"half_pixel_centers": int(half)}
    words |= {"scale_h": float(np.float32(in_h) / np.float32(out_h))}
    words |= {"scale_w": float(np.float32(in_w) / np.float32(out_w))}
    x = rng.normal(size=elements[0]).astype(np.float32)
    buffers = {"x": x, "y": np.zeros(elements[1], np.float32)}
    assert_twins_agree("thm_resize_bilinear_f32", words, buffers, y_first, y_count)


SIZES = [((5, 4), (9, 7)), ((9, 8), (4, 3)), ((3, 3), (6, 6)), ((1, 5), (3, 11)), ((6, 7), (1, 1))]
MODES = {
    "": ResizeBilinear(),
    "corners": ResizeBilinear(align_corners=True),
    "half": ResizeBilinear(half_pixel_centers=True),
}
CASES = [
    case(
        f"{mode} {before} to {after}",
        op,
        [(2, *before, 3), ints(after)],
        [(2, *after, 3)],
        dtype,
        exempt=NOT_IN_TFLM if dtype == "int16" else {},
    )
    for dtype in ("float32", "int8", "int16")
    for mode, op in MODES.items()
    for before, after in SIZES
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


IMAGE = (1, 4, 4, 2)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(ResizeBilinear(), [IMAGE, Operand((2,), "int32")], [IMAGE]), "the size must be"),
        (refuse(ResizeBilinear(), [IMAGE, ints([4])], [IMAGE]), "the size must be"),
        (refuse(ResizeBilinear(), [IMAGE, ints([0, 4])], [(1, 0, 4, 2)]), "1 to 32768 pixels"),
        (refuse(ResizeBilinear(), [IMAGE, ints([2, 2])], [IMAGE]), "shape that follows"),
        (refuse(ResizeBilinear(), [(4, 4), ints([2, 2])], [(2, 2)]), "rank 4"),
        (refuse(ResizeBilinear(True, True), [IMAGE, ints([4, 4])], [IMAGE]), "exclude each other"),
        (refuse(ResizeBilinear(), [IMAGE, ints([4, 4])], [IMAGE], "uint8"), "dtypes must be"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
