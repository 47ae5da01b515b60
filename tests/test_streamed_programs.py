"""Random models of rows, whole and streamed, held and pushed: the reference's bits, sound memory.

Some hundred examples as a rule; THIMBLE_EXAMPLES=10000 for as many as one likes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import random_inputs
from streamed_models import models

from thimble.graph import Model
from thimble.lower import cannot_push, lower
from thimble.memory import place
from thimble.passes import run_passes
from thimble.program import Program
from thimble.runners.reference import ReferenceRunner
from thimble.runners.shadow import ShadowRunner
from thimble.streaming import SegmentSearch, apply_segments, stream

EXAMPLES = int(os.environ.get("THIMBLE_EXAMPLES", "200"))
ARCHS = ("scalar", "dsp", "thumb1", "mve")
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def check(program: Program, sample: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> int:
    """The program, watched by the shadow, gives what is wanted; returns its arena's bytes."""
    memory = place(program)
    shadow = ShadowRunner(program, memory)
    for found, right in zip(shadow.run(sample), wanted, strict=True):
        np.testing.assert_array_equal(found, right)
    assert shadow.findings == []
    return memory.arena_bytes


@pytest.mark.timeout(300 if EXAMPLES <= 300 else 0)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(models(), st.sampled_from(ARCHS), st.booleans(), st.integers(1, 5), st.integers(1, 5))
def test_streamed_whole_and_pushed_programs_have_the_same_bits(
    model: Model, arch: str, pushes: bool, rows: int, most: int
) -> None:
    sample = random_inputs(model.graph, 0)
    wanted = ReferenceRunner(model).run(sample)
    model = run_passes(model)
    check(lower(model, arch=arch), sample, wanted)
    pushes = pushes and not cannot_push(model)
    program = lower(model, arch=arch, by_rows=True, push_input=pushes)
    check(stream(program), sample, wanted)
    # Every segment that is found by bytes alone, in bands of other heights.
    search = SegmentSearch(program)
    _, segments = search.cuts()
    banded = [search.segment(s.first, s.last, rows, most) or s for s in segments]
    check(apply_segments(program, banded), sample, wanted)
