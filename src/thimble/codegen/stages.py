"""The schedule as C: whole layers as plain calls, streamed segments as step tables with a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.codegen.literals import array_literal
from thimble.program import Program, Step


@dataclass(frozen=True)
class Stage:
    """Steps that belong together: a whole call or a streamed segment. `layer` is the last one."""

    steps: tuple[Step, ...]
    layer: int
    streamed: bool

    @property
    def calls(self) -> list[int]:
        """The calls, in order."""
        return sorted({step.call for step in self.steps})

    @property
    def first_steps(self) -> list[Step]:
        """One step of each call."""
        return list({step.call: step for step in self.steps}.values())

    @property
    def word(self) -> str:
        """C type of the step table."""
        largest = max(max(step.y_first, step.y_count) for step in self.steps)
        return "uint8_t" if max(largest, len(self.calls)) < 256 else "uint16_t"


def cut(program: Program) -> list[Stage]:
    """The schedule cut where no call has rows on both sides; a hop is one stage."""
    steps = program.schedule
    if program.hop is not None:
        return [Stage(steps, program.layers[-1].index, True)]
    last = {step.call: i for i, step in enumerate(steps)}
    stages: list[Stage] = []
    start = 0
    while start < len(steps):
        end = last[steps[start].call]
        position = start
        while position <= end:
            end = max(end, last[steps[position].call])
            position += 1
        run = tuple(steps[start : end + 1])
        call = program.calls[run[0].call]
        whole = len(run) == 1 and run[0].y_first == 0 and run[0].y_count == call.rows
        layer = max(program.calls[step.call].layer for step in run)
        stages.append(Stage(run, layer, not whole))
        start = end + 1
    return stages


def table_name(name: str, index: int) -> str:
    """The C name of a segment's step table; a constant of the model like its weights."""
    return f"{name}_const_steps_{index}"


def table_bytes(stages: Sequence[Stage]) -> int:
    """Bytes of the step tables of all segments."""
    sizes = {"uint8_t": 1, "uint16_t": 2}
    return sum(3 * len(s.steps) * sizes[s.word] for s in stages if s.streamed)


def segment(name: str, index: int, stage: Stage, rows_function: Callable[[int], str]) -> list[str]:
    """The step table of a segment, what obeys one step, and the loop over all."""
    calls = stage.calls
    rows = np.array([[calls.index(s.call), s.y_first, s.y_count] for s in stage.steps])
    table, word = table_name(name, index), stage.word
    lines = [
        f"/* {len(stage.steps)} steps through {len(calls)} calls: call, first row, rows */",
        f"static const {word} {table}[{rows.size}] = {{",
        array_literal(rows, word),
        "};",
        "",
        f"THM_INLINE void {name}_step_{index}(const {name}_io *io, const {word} *step)",
        "{",
        "    switch (step[0]) {",
    ]
    for k, call in enumerate(calls):
        label = "default" if k == len(calls) - 1 else f"case {k}"
        lines += [
            f"    {label}:",
            f"        {rows_function(call)}(io, step[1], step[2]);",
            "        break;",
        ]
    return [
        *lines,
        "    }",
        "}",
        "",
        f"static THM_NOINLINE void {name}_segment_{index}(const {name}_io *io)",
        "{",
        f"    for (const {word} *step = {table}; step < {table} + {rows.size}; step += 3) {{",
        f"        {name}_step_{index}(io, step);",
        "    }",
        "}",
        "",
    ]
