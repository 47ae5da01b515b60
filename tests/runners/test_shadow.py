"""Shadow memory: sound plans leave no finding, every kind of wrong one does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from models import ModelBuilder
from open_models import random_inputs

from thimble.errors import ThimbleError
from thimble.formats.tflite import load
from thimble.graph import Model
from thimble.lower import cannot_push, lower
from thimble.memory import Memory, place
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.passes import run_passes
from thimble.program import Program, Window
from thimble.runners.program import ProgramRunner
from thimble.runners.shadow import ShadowRunner
from thimble.streaming import stream


def programs(model: Model) -> Iterator[tuple[str, Program]]:
    """The model plain, streamed, and pushed where it can be."""
    yield "plain", lower(model)
    yield "streamed", stream(lower(model, by_rows=True))
    if not cannot_push(model):
        yield "pushed", stream(lower(model, by_rows=True, push_input=True))


def findings(program: Program, memory: Memory, model: Model) -> list[str]:
    runner = ShadowRunner(program, memory)
    runner.run(random_inputs(model.graph, 0))
    return [finding.message for finding in runner.findings]


def chain() -> Model:
    """Three depthwise layers on 12 rows, wide in the middle, so that streaming them helps."""
    b = ModelBuilder()
    x = b.input("x", (1, 12, 6, 2), "int8", 0.1, -3)
    for k, (factor, stride) in enumerate([(4, 1), (1, 1), (1, 4)]):
        values = np.arange(72, dtype=np.int8).reshape(1, 3, 3, 8)
        w = b.const(f"w{k}", values, scale=[0.01] * 8, axis=3)
        op = DepthwiseConv2D(
            padding="SAME", stride_h=stride, stride_w=stride, depth_multiplier=factor
        )
        shape = (1, 12 // stride, -(-6 // stride), 8)
        x = b.op(op, [x, w, None], [(shape, "int8", 0.1, -3)], version=3)
    return b.build([x])


def test_open_models_neither_overwrite_nor_read_stale_bytes(shared: Path) -> None:
    paths = sorted((shared / "data/bench").glob("*.tflite"))
    paths += sorted((shared / "data/tcn").glob("tcn_b1_*.tflite"))
    checked = 0
    for path in paths:
        try:
            model = run_passes(load(path))
            made = list(programs(model))
        except ThimbleError:
            continue  # not supported: nothing to check
        for kind, program in made:
            for strategy in ("exact", "greedy"):
                memory = place(program, strategy)
                runner = ShadowRunner(program, memory)
                sample = random_inputs(model.graph, 1)
                found = runner.run(sample)
                assert not runner.findings, (path.stem, kind, strategy, runner.findings[0])
                for a, b in zip(found, ProgramRunner(program, memory).run(sample), strict=True):
                    np.testing.assert_array_equal(a, b)
                checked += 1
    assert checked > 60


def test_every_overlap_of_live_buffers_is_caught() -> None:
    model = chain()
    program = lower(model)
    memory = place(program)
    assert not findings(program, memory, model)
    live = [i for i, b in enumerate(program.buffers) if b.role == "arena"]
    for moved in live:
        for other in live:
            if moved == other:
                continue
            wrong = {**memory.offsets, moved: memory.offsets[other]}
            found = findings(program, replace(memory, offsets=wrong), model)
            spans = {
                i: [k for k, (r, w) in enumerate(program.reads_writes()) if i in r | w]
                for i in (moved, other)
            }
            both = max(spans[moved][0], spans[other][0]) <= min(spans[moved][-1], spans[other][-1])
            assert bool(found) >= both


def test_a_byte_too_near_is_caught() -> None:
    model = chain()
    program = lower(model)
    memory = place(program)
    arena = [i for i, b in enumerate(program.buffers) if b.role == "arena"]
    below, above = sorted(arena, key=lambda i: memory.offsets[i])
    wrong = {**memory.offsets, above: memory.offsets[below] + program.buffers[below].bytes - 1}
    assert findings(program, replace(memory, offsets=wrong), model)


def test_a_ring_a_row_too_short_is_caught() -> None:
    model = chain()
    program = stream(lower(model, by_rows=True))
    assert not findings(program, place(program), model)
    short = 0
    for index, buffer in enumerate(program.buffers):
        rings = {
            call.params[f"{name}_ring"]
            for call in program.calls
            for name, arg in call.args.items()
            if arg is not None and arg.buffer == index and f"{name}_ring" in call.params
        }
        if buffer.role != "arena" or not rings:
            continue
        (ring,) = rings
        calls = []
        for call in program.calls:
            names = [n for n, a in call.args.items() if a is not None and a.buffer == index]
            changed = {f"{n}_ring": ring - 1 for n in names if f"{n}_ring" in call.params}
            calls.append(replace(call, params={**call.params, **changed}))
        buffers = list(program.buffers)
        buffers[index] = replace(buffer, bytes=buffer.bytes // int(ring) * (int(ring) - 1))
        wrong = replace(program, calls=tuple(calls), buffers=tuple(buffers))
        assert findings(wrong, place(wrong), model)
        short += 1
    assert short == 2


def test_a_schedule_out_of_order_is_caught() -> None:
    model = chain()
    program = lower(model)
    first, second, third = program.schedule
    wrong = replace(program, schedule=(second, first, third))
    assert findings(wrong, place(program), model)


def test_a_window_that_promises_too_much_is_caught() -> None:
    model = chain()
    program = stream(lower(model, by_rows=True))
    calls = list(program.calls)
    calls[1] = replace(calls[1], windows={"x": Window(1, 1, 9)})
    wrong = replace(program, calls=tuple(calls))
    assert findings(wrong, place(program), model)
