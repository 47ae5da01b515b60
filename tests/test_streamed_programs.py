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
from models import ModelBuilder, op, random_inputs
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


def test_rows_that_are_added_up_lie_in_the_place_of_used_ones() -> None:
    """FULLY_CONNECTED by rows reads a row of a ring whose other row its producer still needs."""
    rng = np.random.default_rng(3)
    builder = ModelBuilder()
    quant = ("int8", 0.1, -3)

    def weights(shape: tuple[int, ...], outputs: int, axis: int) -> int:
        values = rng.integers(-127, 128, shape).astype(np.int8)
        return builder.const(f"w{len(builder.tensors)}", values, scale=[0.01] * outputs, axis=axis)

    shape = (1, 8, 2, 4)
    x = builder.input("x", (1, 8, 2, 17), *quant)
    steps = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    pointwise = op("CONV_2D", "Conv2DOptions", padding="SAME", **steps)
    t = builder.op(pointwise, [x, weights((4, 1, 1, 17), 4, 0), None], [(shape, *quant)], version=3)
    tall = op(
        "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", padding="SAME", depth_multiplier=1, **steps
    )
    t = builder.op(tall, [t, weights((1, 2, 1, 4), 4, 3), None], [(shape, *quant)], version=3)
    flat = builder.const("shape", np.array([1, 64], np.int32))
    t = builder.op(op("RESHAPE"), [t, flat], [((1, 64), *quant)])
    dense = op("FULLY_CONNECTED")
    t = builder.op(dense, [t, weights((5, 64), 5, 0), None], [((1, 5), *quant)], version=4)
    model = builder.build([t])
    sample = random_inputs(model.graph, 0)
    wanted = ReferenceRunner(model).run(sample)
    streamed = []
    for arch in ARCHS:
        program = lower(run_passes(model), arch=arch, by_rows=True)
        _, segments = SegmentSearch(program).cuts()
        check(apply_segments(program, segments), sample, wanted)
        streamed += segments
    assert streamed
