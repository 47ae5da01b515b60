"""PAD and PADV2: twin over rings and bands, peers, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from moving import NOT_IN_TFLM, SCALE, ZERO_POINT, case, ints, refuse
from single_op import Exempt, Operand, check, constant, model_of, refused

from thimble.lower import lower
from thimble.ops.pad import Pad, PadV2


@given(st.data(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_twin(data, seed):
    few = st.integers(0, 3)
    item, blocks = data.draw(st.sampled_from([1, 2, 4, 8])), data.draw(st.integers(0, 4))
    block, x_rows = item * data.draw(st.integers(1, 4)), data.draw(st.integers(0, 5))
    start, gap = item * data.draw(few), item * data.draw(few)
    x_ring, y_ring = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    words = {"item": item, "blocks": blocks, "block": block, "x_rows": x_rows, "x_ring": x_ring}
    words |= {"y_start": start, "y_step": block + gap, "y_ring": y_ring}
    words["y_row"] = start + blocks * (block + gap) + item * data.draw(few)
    words["pad_top"] = data.draw(few)
    rng = np.random.default_rng(seed)
    buffers = {
        "x": rng.integers(0, 256, x_ring * blocks * block, np.uint8),
        "value": rng.integers(0, 256, item, np.uint8),
        "y": rng.integers(0, 256, y_ring * words["y_row"], np.uint8),
    }
    y_first = data.draw(st.integers(0, 7))
    assert_twins_agree("thm_pad", words, buffers, y_first, data.draw(st.integers(0, y_ring)))


def value(number, dtype="int8", scale=SCALE, zero_point=ZERO_POINT):
    if dtype not in ("int8", "int16"):
        return constant([number], dtype)
    return constant([number], dtype, scale, zero_point if dtype == "int8" else 0)


IMAGE = ints([[0, 0], [1, 2], [3, 0], [0, 0]])
INT64 = {"tflm": Exempt("TFLM reads int64 paddings as int32")}
CASES = [
    case("image", Pad(), [(1, 5, 4, 3), IMAGE], [(1, 8, 7, 3)]),
    case("images", Pad(), [(3, 5, 4, 3), IMAGE], [(3, 8, 7, 3)], "float32"),
    case("channels", Pad(), [(1, 2, 4, 3), ints([[0, 0], [0, 1], [1, 0], [1, 2]])], [(1, 3, 5, 6)]),
    case("channels", Pad(), [(2, 2, 3, 3), ints([[0, 0]] * 3 + [[0, 5]])], [(2, 2, 3, 8)], "int16"),
    case("time", Pad(), [(1, 6, 4), ints([[0, 0], [3, 0], [0, 0]])], [(1, 9, 4)], "int32"),
    case("depth", Pad(), [(1, 6, 4), ints([[0, 0], [1, 0], [2, 1]])], [(1, 7, 7)]),
    case("batch", Pad(), [(2, 3, 2), ints([[1, 1], [0, 2], [1, 0]])], [(4, 5, 3)]),
    case("matrix", Pad(), [(5, 4), ints([[1, 2], [3, 0]])], [(8, 7)]),
    case("int64 pads", Pad(), [(2, 1), ints([[1, 2], [3, 0]], "int64")], [(5, 4)], exempt=INT64),
    case("vector", Pad(), [(5,), ints([[2, 1]])], [(8,)], "float32"),
    case("rank 5", Pad(), [(1, 2, 1, 3, 2), ints([[1, 0]] * 5)], [(2, 3, 2, 4, 3)]),
    case("nothing", Pad(), [(1, 3, 2, 2), ints([[0, 0]] * 4)], [(1, 3, 2, 2)]),
    case("uint8", Pad(), [(1, 2, 2, 1), IMAGE], [(1, 5, 5, 1)], "uint8", exempt=NOT_IN_TFLM),
    case("int64", Pad(), [(1, 2, 2, 1), IMAGE], [(1, 5, 5, 1)], "int64", exempt=NOT_IN_TFLM),
    case("constant", PadV2(), [(1, 5, 4, 3), IMAGE, value(9)], [(1, 8, 7, 3)]),
    case(
        "lowest", PadV2(), [(1, 5, 4, 3), IMAGE, value(-1e30, "float32")], [(1, 8, 7, 3)], "float32"
    ),
    case("run-time value", PadV2(), [(2, 3), ints([[1, 1], [0, 2]]), (1,)], [(4, 5)], "float32"),
    case("int16", PadV2(), [(2, 3), ints([[1, 1], [0, 2]]), value(5, "int16")], [(4, 5)], "int16"),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


def test_images_are_padded_row_by_row():
    (call,) = lower(model_of(CASES[0])).calls
    assert (call.kernel, call.rows) == ("thm_pad", 8)
    assert call.windows["x"].pad == 1


PADS = ints([[0, 1], [0, 0]])


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Pad(), [(2, 3), Operand((2, 2), "int32")], [(3, 3)]), "paddings must be constant"),
        (refuse(Pad(), [(2, 3), ints([[0, 1]])], [(3, 3)]), "[rank, 2]"),
        (refuse(Pad(), [(2, 3), ints([[0, -1], [0, 0]])], [(1, 3)]), "not negative"),
        (refuse(Pad(), [(2, 3), PADS], [(2, 3)]), "shape that follows"),
        (refuse(Pad(), [(2, 3), ints([[0, 1], [0, 0]], "int16")], [(3, 3)]), "paddings must be"),
        (refuse(PadV2(), [(2, 3), PADS, (2,)], [(3, 3)]), "one element"),
        (refuse(PadV2(), [(2, 3), PADS, value(1, scale=0.5)], [(3, 3)]), "scale and zero point"),
        (refuse(PadV2(), [(2, 3), PADS, value(1, "int16")], [(3, 3)]), "one dtype"),
        (refuse(PadV2(), [(2, 3), PADS], [(3, 3)]), "3 inputs"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
