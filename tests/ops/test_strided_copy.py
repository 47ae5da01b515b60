"""The strided copy: twin over rings and bands, merging of dimensions, rows, fill."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree

from thimble.ops.strided_copy import Dim, into, merged, rows_of, steps

SEEDS = st.integers(0, 2**32 - 1)


@given(st.data(), SEEDS)
@settings(max_examples=150, deadline=None)
def test_twin(data, seed):
    dims, run = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 9))
    counts = data.draw(st.lists(st.integers(1, 4), min_size=dims, max_size=dims))
    x_steps = data.draw(st.lists(st.integers(-12, 12), min_size=dims, max_size=dims))
    y_steps = [run * step for step in steps(tuple(counts))]
    lowest = sum(min(0, (c - 1) * s) for c, s in zip(counts, x_steps))
    highest = sum(max(0, (c - 1) * s) for c, s in zip(counts, x_steps))
    rows, y_ring = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    y_first = data.draw(st.integers(0, rows - 1))
    words = {
        "dims": dims,
        "run": run,
        "x_start": -lowest,
        "x_row": highest - lowest + run + data.draw(st.integers(0, 3)),
        "x_ring": data.draw(st.integers(1, 6)),
        "row_step": data.draw(st.integers(0, 3)),
        "row_first": data.draw(st.integers(0, 3)),
        "y_start": data.draw(st.integers(0, 3)),
        "y_row": run * prod(counts),
        "y_ring": y_ring,
    }
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, words["x_row"] * (words["x_ring"] + 1), np.uint8)
    y = rng.integers(0, 256, words["y_start"] + words["y_row"] * y_ring, np.uint8)
    table = np.array(list(zip(counts, x_steps, y_steps)), np.int32)
    y_count = data.draw(st.integers(0, min(rows - y_first, y_ring)))
    buffers = {"x": x, "table": table, "y": y}
    assert_twins_agree("thm_copy_strided", words, buffers, y_first, y_count)


@given(st.sampled_from([1, 2, 4, 8]), st.integers(0, 20), SEEDS)
@settings(max_examples=60, deadline=None)
def test_fill_twin(item, elements, seed):
    rng = np.random.default_rng(seed)
    value = rng.integers(0, 256, item, np.uint8)
    y = rng.integers(0, 256, elements * item + 3, np.uint8)
    words = {"item": item, "bytes": elements * item}
    assert_twins_agree("thm_fill", words, {"value": value, "y": y})


def positions(dims):
    """(x element, y element) of every move, in order of y."""
    pairs = [(0, 0)]
    for dim in dims:
        pairs = [
            (x + i * dim.x_step, y + i * dim.y_step) for x, y in pairs for i in range(dim.count)
        ]
    return sorted(pairs, key=lambda pair: pair[1])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.permutations(range(5)))
@settings(max_examples=80, deadline=None)
def test_merging_moves_the_same_elements(shape, order):
    perm = [d for d in order if d < len(shape)]
    x_steps = steps(tuple(shape))
    dims = into(tuple(shape[d] for d in perm), [x_steps[d] for d in perm])
    loops, run = merged(dims)
    assert positions([*loops, Dim(run, 1, 1)]) == positions(dims)
    assert len(loops) <= len(dims)


def test_contiguous_is_one_run():
    assert merged(into((2, 3, 4), steps((2, 3, 4)))) == ([Dim(1, 0, 0)], 24)


@pytest.mark.parametrize(
    ("x_shape", "y_shape", "x_steps", "start", "step_and_first"),
    [
        ((1, 6, 4), (1, 3, 4), (24, 8, 1), 4, (2, 1)),  # rows 1, 3, 5
        ((1, 6, 4), (1, 6, 4), (24, 4, -1), 3, (1, 0)),  # each row backwards
        ((1, 6, 4), (1, 6, 4), (24, -4, 1), 20, None),  # rows backwards: not a window
        ((1, 6, 4), (1, 4, 6), (24, 1, 4), 0, None),  # transposed: a row of y needs all of x
        ((2, 6, 4), (2, 6, 4), (24, 4, 1), 0, None),  # batches
        ((6, 4), (6, 4), (4, 1), 0, None),  # no rows
    ],
)
def test_rows(x_shape, y_shape, x_steps, start, step_and_first):
    rows = rows_of(x_shape, y_shape, into(y_shape, x_steps), start)
    assert (rows and (rows.step, rows.first)) == step_and_first
