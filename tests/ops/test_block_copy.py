"""The copy that joins and splits tensors: twin, over rings and bands."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree


@st.composite
def copies(draw):
    """Words and buffers of thm_copy_blocks, and the band of rows to compute."""
    small = st.integers(0, 3)
    blocks, block = draw(st.integers(0, 4)), draw(st.integers(1, 17))
    rows, x_rows = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    words = {"blocks": blocks, "block": block, "x_rows": x_rows}
    words["row_shift"] = draw(st.integers(-x_rows, rows))
    sizes = {}
    for name in "xy":
        step, start = block + draw(small), draw(small)
        row = start + blocks * step + draw(small)
        ring = draw(st.integers(1, 7))
        words |= {f"{name}_start": start, f"{name}_step": step}
        words |= {f"{name}_row": row, f"{name}_ring": ring}
        sizes[name] = start + row * ring + blocks * step
    y_first = draw(st.integers(0, rows - 1))
    y_count = draw(st.integers(0, min(rows - y_first, words["y_ring"])))
    return words, sizes, y_first, y_count


@given(copies(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_twin(copy, seed):
    words, sizes, y_first, y_count = copy
    rng = np.random.default_rng(seed)
    buffers = {name: rng.integers(0, 256, size, np.uint8) for name, size in sizes.items()}
    assert_twins_agree("thm_copy_blocks", words, buffers, y_first, y_count)
