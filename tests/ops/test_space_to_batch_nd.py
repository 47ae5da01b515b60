"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: twins, peers, inverses, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import Exempt, check, refused

from thimble.ops.space_to_batch_nd import BatchToSpaceND, SpaceToBatchND

FEW = st.integers(1, 3)


@given(st.lists(FEW, min_size=7, max_size=7), st.sampled_from([1, 2, 4]), st.data())
@settings(max_examples=80, deadline=None)
def test_twins(sizes, item, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    batch, small_h, small_w, block_h, block_w, channels, extra = sizes
    pixel, phases = channels * item, block_h * block_w
    pads = [data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))]
    common = {"batch": batch, "block_h": block_h, "block_w": block_w, "pixel": pixel}
    common |= {"pad_top": pads[0], "pad_left": pads[1]}
    large = [small_h + extra, small_w]
    words = common | {"item": item, "in_h": large[0], "in_w": large[1]}
    words |= {"out_h": small_h, "out_w": small_w}
    buffers = {
        "x": rng.integers(0, 256, batch * large[0] * large[1] * pixel, np.uint8),
        "value": rng.integers(0, 256, item, np.uint8),
        "y": np.zeros(phases * batch * small_h * small_w * pixel, np.uint8),
    }
    assert_twins_agree("thm_space_to_batch", words, buffers)
    out = [max(s * b - p, 0) for s, b, p in zip((small_h, small_w), (block_h, block_w), pads)]
    words = common | {"in_h": small_h, "in_w": small_w, "out_h": out[0], "out_w": out[1]}
    buffers = {
        "x": rng.integers(0, 256, phases * batch * small_h * small_w * pixel, np.uint8),
        "y": np.zeros(batch * out[0] * out[1] * pixel, np.uint8),
    }
    assert_twins_agree("thm_batch_to_space", words, buffers)


PADS = ints([[1, 2], [0, 2]])
NONE = ints([[0, 0], [0, 0]])
TFLM_PADS_AT_RANDOM = {"tflm": Exempt("TFLM never sets the value it pads with")}
BLOCK = ints([2, 3])
CASES = [
    case("even", SpaceToBatchND(), [(1, 4, 6, 2), BLOCK, NONE], [(6, 2, 2, 2)]),
    case(
        "padded",
        SpaceToBatchND(),
        [(2, 5, 4, 3), BLOCK, PADS],
        [(12, 4, 2, 3)],
        exempt=TFLM_PADS_AT_RANDOM,
    ),
    case(
        "padded",
        SpaceToBatchND(),
        [(2, 5, 4, 3), BLOCK, PADS],
        [(12, 4, 2, 3)],
        "float32",
        exempt=TFLM_PADS_AT_RANDOM,
    ),
    case(
        "time",
        SpaceToBatchND(),
        [(2, 5, 3), ints([2]), ints([[1, 2]])],
        [(4, 4, 3)],
        "float32",
        exempt=TFLM_PADS_AT_RANDOM,
    ),
    case(
        "wide",
        SpaceToBatchND(),
        [(1, 4, 6, 2), BLOCK, NONE],
        [(6, 2, 2, 2)],
        "int16",
        exempt=NOT_IN_TFLM,
    ),
    case("even", BatchToSpaceND(), [(6, 2, 2, 2), BLOCK, NONE], [(1, 4, 6, 2)]),
    case("cropped", BatchToSpaceND(), [(12, 4, 2, 3), BLOCK, PADS], [(2, 5, 4, 3)]),
    case("time", BatchToSpaceND(), [(4, 4, 3), ints([2]), ints([[1, 2]])], [(2, 5, 3)], "float32"),
    case(
        "wide",
        BatchToSpaceND(),
        [(6, 2, 2, 2), BLOCK, NONE],
        [(1, 4, 6, 2)],
        "int32",
        exempt=NOT_IN_TFLM,
    ),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


IMAGE = (1, 4, 6, 2)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(SpaceToBatchND(), [IMAGE, (2,), NONE], [IMAGE]), "the block shape must be"),
        (refuse(SpaceToBatchND(), [IMAGE, ints([0, 2]), NONE], [IMAGE]), "at least 1"),
        (refuse(SpaceToBatchND(), [IMAGE, ints([1, 2, 1]), NONE], [IMAGE]), "1 or 2 dimensions"),
        (refuse(SpaceToBatchND(), [IMAGE, ints([2]), NONE], [IMAGE]), "1 or 2 dimensions"),
        (refuse(SpaceToBatchND(), [IMAGE, ints([3, 3]), NONE], [IMAGE]), "divide into blocks"),
        (refuse(SpaceToBatchND(), [IMAGE, BLOCK, NONE], [(1, 2, 2, 2)]), "shape that follows"),
        (refuse(BatchToSpaceND(), [IMAGE, BLOCK, NONE], [IMAGE]), "batches must divide"),
        (
            refuse(BatchToSpaceND(), [(4, 1, 1, 2), ints([2, 2]), ints([[2, 1], [0, 0]])], [IMAGE]),
            "leave something",
        ),
        (refuse(BatchToSpaceND(), [(6, 2, 2, 2), BLOCK, PADS], [IMAGE]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
