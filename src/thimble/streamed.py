"""Model -> streamed program: kernels by rows where segments need them, and what each one saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thimble.graph import Model
from thimble.lower import lower
from thimble.memory import Memory, place
from thimble.plan import TIME_LIMIT_S
from thimble.program import Program
from thimble.streaming import MOST_GROWTH, Segment, apply_segments, choose_segments, growth


@dataclass(frozen=True, eq=False)
class Streamed:
    """A program with its segments applied, its memory, and a line for each segment."""

    program: Program
    memory: Memory
    notes: tuple[str, ...]


def lower_streamed(
    model: Model,
    name: str = "model",
    arch: str = "scalar",
    push_input: bool = False,
    strategy: str = "exact",
    time_limit_s: float = TIME_LIMIT_S,
    most_growth: float = MOST_GROWTH,
) -> Streamed:
    """`model` with the segments streamed that make its arena smallest (see `choose_segments`), for
    at most `most_growth` more instructions, estimated.

    Layers outside the segments have the kernels for whole tensors, where the arena is no larger
    for it. Raises UnsupportedModel.
    """

    def streamed(layers: bool | frozenset[int]) -> tuple[Streamed, frozenset[int]]:
        plain = lower(model, name, arch, by_rows=layers, push_input=push_input)
        segments = choose_segments(plain, most_growth) if layers else []
        program = apply_segments(plain, segments)
        memory = place(program, strategy, time_limit_s)
        spans = [range(s.first, s.last + 1) for s in segments]
        used = frozenset(plain.calls[k].layer for span in spans for k in span)
        return Streamed(program, memory, _notes(plain, segments)), used

    every, layers = streamed(True)
    # Whole outputs may lie over inputs, so that it may be best to stream nothing.
    found = [every, streamed(layers)[0], streamed(frozenset())[0]]
    return min(reversed(found), key=lambda streamed: streamed.memory.arena_bytes)


def _notes(program: Program, segments: Sequence[Segment]) -> tuple[str, ...]:
    """What runs row by row, at what cost."""
    lines = []
    for s in segments:
        layers = [program.calls[k].layer for k in (s.first, s.last)]
        whole = sum(program.buffers[b].bytes for b in s.rings)
        rings = s.interleaving.rings.items()
        rows = {t.output: t.rows for t in s.tasks}
        held = sum(
            program.buffers[b].bytes // rows[b] * ring
            for b, ring in rings
            if b not in s.interleaving.places
        )
        most = max(turn.y_count for turn in s.interleaving.turns)
        lines.append(
            f"layers {layers[0]} to {layers[1]} run at most {most} rows at a time: {held:,} bytes"
            f" of rows instead of {whole:,}, estimated instructions {growth(program, [s]):+.1%}"
        )
    return tuple(lines)
