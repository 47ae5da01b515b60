"""GATHER: twin, peers, indices out of range, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from moving import NOT_IN_TFLM, case, ints, refuse, tensor
from single_op import Operand, check, model_of, refused

from thimble.lower import lower
from thimble.memory import place
from thimble.ops.gather import Gather
from thimble.runners.program import ProgramRunner

FEW = st.integers(1, 4)


@given(FEW, FEW, FEW, FEW, st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_twin(groups, outer, size, count, inner, seed):
    rng = np.random.default_rng(seed)
    words = {"groups": groups, "outer": outer, "size": size, "count": count, "inner": inner}
    buffers = {
        "x": rng.integers(0, 256, groups * outer * size * inner, np.uint8),
        "index": rng.integers(-3, size + 3, groups * count).astype(np.int32),
        "y": np.zeros(groups * outer * count * inner, np.uint8),
    }
    assert_twins_agree("thm_gather", words, buffers)


INDEX = Operand((3,), "int32")
VALUES = (np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4), np.array([4, 0, 2], np.int32))
ROWS = case("rows", Gather(), [(5, 4), INDEX], [(3, 4)], "float32", values=VALUES)
BATCHES = ints([[1, 2, 3], [3, 0, 1]])
CASES = [
    ROWS,
    case("middle", Gather(1), [(2, 5, 4), ints([[1, 2], [3, 0]])], [(2, 2, 2, 4)]),
    case("last", Gather(-1), [(2, 5), ints([4, 4, 0])], [(2, 3)]),
    case("scalar", Gather(1), [(2, 5, 3), ints(4)], [(2, 3)], "float32"),
    case("batches", Gather(1, 1), [(2, 5, 4), ints([[1, 2], [3, 0]])], [(2, 2, 4)]),
    case("batches", Gather(2, 1), [(2, 5, 4), BATCHES], [(2, 5, 3)], "int16", exempt=NOT_IN_TFLM),
    case("negative", Gather(-1, -1), [(2, 5, 4), BATCHES], [(2, 5, 3)], "float32"),
    case("int64", Gather(), [(5, 4), ints([4, 1], "int64")], [(2, 4)], "int32", exempt=NOT_IN_TFLM),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


def test_indices_out_of_range_read_the_edge():
    program = lower(model_of(ROWS))
    runner = ProgramRunner(program, place(program, "greedy"))
    (y,) = runner.run([VALUES[0], np.array([-7, 2**30, 3], np.int32)])
    np.testing.assert_array_equal(y, VALUES[0][[0, 4, 3]])


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Gather(), [(5, 4), Operand((3,), "int16")], [(3, 4)]), "indices must be int32"),
        (refuse(Gather(), [(5, 4), Operand((3,), "int64")], [(3, 4)]), "indices must be int32"),
        (refuse(Gather(2), [(5, 4), INDEX], [(3, 4)]), "axis and batch_dims"),
        (refuse(Gather(0, 1), [(5, 4), INDEX], [(3, 4)]), "axis and batch_dims"),
        (refuse(Gather(1, 1), [(5, 4), INDEX], [(5,)]), "the batches those of both"),
        (refuse(Gather(1, 2), [(5, 4), INDEX], [(5,)]), "axis and batch_dims"),
        (refuse(Gather(), [(5, 4), INDEX], [(5, 4)]), "shape that follows"),
        (refuse(Gather(), [tensor((0, 4)), INDEX], [(3, 4)]), "something to gather from"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
