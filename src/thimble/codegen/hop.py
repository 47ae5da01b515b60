"""NAME_reset and NAME_push_INPUT of a program that goes on for ever (streaming in time).

The step table is one hop. A row that arrives sets off its step and those up to the next arrival.
The state lies at the start of the arena: position in the table, hops of warm-up left, the counters
by which rows go on from hop to hop, then the rings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from thimble.codegen.literals import array_literal
from thimble.codegen.stages import Stage, table_name
from thimble.program import DTYPE_TO_C

if TYPE_CHECKING:
    from thimble.codegen.c import _Emitter
    from thimble.codegen.firmware import Firmware
    from thimble.program import Hop

FLOAT_TOLERANCE = 1e-3  # libm differs


def _hop(emitter: _Emitter) -> Hop:
    assert emitter.program.hop is not None
    return emitter.program.hop


def _signature(emitter: _Emitter) -> str:
    port = emitter.inputs[0]
    outputs = ", ".join(emitter.declare(p, True) for p in emitter.outputs)
    return (
        f"int {emitter.name}_push_{port.c_name}(void *arena, "
        f"const {DTYPE_TO_C[port.dtype]} *rows, int n, {outputs})"
    )


def prototypes(emitter: _Emitter) -> list[str]:
    """The lines of the header."""
    name, rows = emitter.name, _hop(emitter).rows
    push = f"{name}_push_{emitter.inputs[0].c_name}"
    return [
        f"#define {name}_HOP_ROWS {rows}",
        f"#define {name}_STATE_BYTES {emitter.memory.state_bytes}",
        "",
        f"/* Streaming in time: {_where(emitter)} are the state. Keep them",
        " * between calls; the rest may serve others in the meantime.",
        f" * {name}_reset forgets all rows: call it first. It writes the state only.",
        f" * {push} takes the next n rows of the signal, their values one",
        " * after the other, and is 1 when they completed a window and the outputs are written:",
        f" * the first one, then one every {name}_HOP_ROWS rows. Push no more to see all.",
        f" * {name}_run pushes one hop. */",
        f"void {name}_reset(void *state);",
        f"{_signature(emitter)};",
        "",
    ]


def _where(emitter: _Emitter) -> str:
    """The bytes of the state in words."""
    buffers = emitter.program.buffers
    first = min(at for b, at in emitter.memory.offsets.items() if buffers[b].role == "state")
    name = emitter.name
    return (
        f"{name}_STATE_BYTES from byte {first} of the arena"
        if first
        else (f"the first {name}_STATE_BYTES of the arena")
    )


def segment(emitter: _Emitter, stage: Stage) -> list[str]:
    """The step table of the hop, what obeys one step, and the whole hop as a function of io."""
    name, hop, calls, word = emitter.name, _hop(emitter), stage.calls, stage.word
    rows = np.array([[calls.index(s.call), s.y_first, s.y_count] for s in stage.steps])
    table = table_name(name, 0)
    lines = [
        f"/* {len(stage.steps)} steps of a hop, {len(calls)} calls: call, first row, rows */",
        f"static const {word} {table}[{rows.size}] = {{",
        array_literal(rows, word),
        "};",
        "",
        f"THM_INLINE void {name}_step(const {name}_io *io, const int32_t *counters, "
        f"const {word} *step)",
        "{",
        "    (void)counters;",
        "    switch (step[0]) {",
    ]
    for k, call in enumerate(calls):
        label = "default" if k == len(calls) - 1 else f"case {k}"
        lines += [
            f"    {label}:",
            f"        {emitter.rows_function(call)}(io, {_first_row(hop, call)}, step[2]);",
            "        break;",
        ]
    port = emitter.inputs[0]
    outputs = "".join(f", io->{p.c_name}" for p in emitter.outputs)
    return [
        *lines,
        "    }",
        "}",
        "",
        f"static THM_NOINLINE void {name}_segment_0(const {name}_io *io)",
        "{",
        f"    (void){name}_push_{port.c_name}(io->arena, io->{port.c_name}, {hop.rows}{outputs});",
        "}",
        "",
    ]


def _first_row(hop: Hop, call: int) -> str:
    """C expression for the first row of a step, counted on from hop to hop."""
    if call not in hop.advance:
        return "step[1]"
    counter, rows = hop.advance[call]
    return f"step[1] + counters[{counter}]" + (f" * {rows}" if rows > 1 else "")


def functions(emitter: _Emitter) -> list[str]:
    """NAME_reset and NAME_push_INPUT."""
    name, hop, port, program = emitter.name, _hop(emitter), emitter.inputs[0], emitter.program
    offsets = emitter.memory.offsets
    stage = emitter.stages[0]
    progress = next(i for i, b in enumerate(program.buffers) if b.name == "progress")
    arrival = next(i for i, c in enumerate(program.calls) if c.kernel == "thm_input_rows")
    kind, length = stage.calls.index(arrival), port.elements // hop.rows
    table, size = table_name(name, 0), 3 * len(stage.steps)
    first_row = _first_row(hop, arrival).replace("counters", "(state + 2)")
    members = ["(uint8_t *)arena", "0", *(p.c_name for p in emitter.outputs)]
    fills = [
        f"    memset((uint8_t *)state + {offsets[b]}, {value}, {program.buffers[b].bytes});"
        for b, value in sorted(hop.fills.items(), key=lambda item: offsets[item[0]])
    ]
    counters = [
        line
        for k, modulus in enumerate(hop.moduli)
        for line in (
            f"        if (++state[{2 + k}] == {modulus}) {{",
            f"            state[{2 + k}] = 0;",
            "        }",
        )
    ]
    return [
        f"void {name}_reset(void *state)",
        "{",
        f"    int32_t *words = (int32_t *)(void *)((uint8_t *)state + {offsets[progress]});",
        f"    memset(words, 0, {program.buffers[progress].bytes});",
        f"    words[0] = {3 * hop.first_step};",
        f"    words[1] = {hop.warm_up};",
        *fills,
        "}",
        "",
        _signature(emitter),
        "{",
        f"    int32_t *state = (int32_t *)(void *)((uint8_t *)arena + {offsets[progress]});",
        f"    {name}_io io = {{ {', '.join(members)} }};",
        "    int is_ready = 0;",
        "    for (int i = 0; i < n; i++) {",
        f"        const {stage.word} *step = {table} + state[0];",
        f"        const int32_t row = {first_row};",
        "        /* where row 0 of the signal would lie */",
        f"        io.{port.c_name} = (const {DTYPE_TO_C[port.dtype]} *)((uintptr_t)(rows + "
        f"i * {length}) -",
        f"            (uintptr_t)row * {length} * sizeof *rows);",
        "        do {",
        f"            {name}_step(&io, state + 2, step);",
        "            step += 3;",
        f"        }} while (step < {table} + {size} && step[0] != {kind});",
        f"        state[0] = (int32_t)(step - {table});",
        f"        if (state[0] < {size}) {{",
        "            continue;",
        "        }",
        "        state[0] = 0;",
        *counters,
        "        if (state[1] > 0) {",
        "            state[1]--;",
        "        } else {",
        "            is_ready = 1;",
        "        }",
        "    }",
        "    return is_ready;",
        "}",
        "",
    ]


def self_test(firmware: Firmware, rows: np.ndarray, outputs: Sequence[np.ndarray]) -> str:
    """C of NAME_self_test: pushes golden rows; the outputs of the last window must be `outputs`."""
    name, port = firmware.name, firmware.inputs[0]
    lines = ["/* Self test: golden rows of a signal, and the outputs of its last window. */"]
    arrays = [(f"golden_{port.c_name}", port.dtype, rows)]
    arrays += [(f"golden_{p.c_name}", p.dtype, a) for p, a in zip(firmware.outputs, outputs)]
    for label, dtype, array in arrays:
        lines += [
            f"static const {DTYPE_TO_C[dtype]} {name}_{label}[{array.size}] = {{",
            array_literal(np.ascontiguousarray(array).reshape(-1), DTYPE_TO_C[dtype]),
            "};",
        ]
    results = ", ".join(p.c_name for p in firmware.outputs)
    lines += [
        "",
        f"int {name}_self_test(void *arena)",
        "{",
        *(f"    {DTYPE_TO_C[p.dtype]} {p.c_name}[{p.elements}];" for p in firmware.outputs),
        "    int wrong;",
        f"    {name}_reset(arena);",
        f"    wrong = !{name}_push_{port.c_name}(arena, {name}_golden_{port.c_name}, {len(rows)}, "
        f"{results});",
        f"    {name}_reset(arena);",
    ]
    for p, array in zip(firmware.outputs, outputs):
        off = f"{p.c_name}[i] != {name}_golden_{p.c_name}[i]"
        if p.dtype == "float32":
            slack = f"{max(float(np.abs(array).max()) * FLOAT_TOLERANCE, 1e-6):.6e}f"
            gap = f"{p.c_name}[i] - {name}_golden_{p.c_name}[i]"
            off = f"!({gap} <= {slack} && {gap} >= -{slack})"
        lines += [
            f"    for (int i = 0; i < {p.elements}; i++) {{",
            f"        wrong |= {off};",
            "    }",
        ]
    return "\n".join([*lines, f"    return wrong ? {name}_LAYER_COUNT : 0;", "}", ""])
