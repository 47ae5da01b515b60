"""NAME_push_INPUT: an input that arrives row by row, as a camera or an ADC delivers it.

The first stage of such a program is a streamed segment that takes the rows; its step table is
obeyed up to the next row that has not arrived. How far it came lies in the arena.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thimble.codegen import hop, stages
from thimble.codegen.stages import Stage, table_name
from thimble.program import DTYPE_TO_C

if TYPE_CHECKING:
    from thimble.codegen.c import _Emitter


def takes_rows(emitter: _Emitter) -> bool:
    """Whether the program was lowered to have its input pushed."""
    return any(b.role == "port" for b in emitter.program.buffers)


def _signature(emitter: _Emitter) -> str:
    port = emitter.inputs[0]
    outputs = ", ".join(emitter.declare(p, True) for p in emitter.outputs)
    return (
        f"int {emitter.name}_push_{port.c_name}(void *arena, "
        f"const {DTYPE_TO_C[port.dtype]} *rows, int n, {outputs})"
    )


def prototypes(emitter: _Emitter) -> list[str]:
    """The lines of the header."""
    if emitter.program.hop is not None:
        return hop.prototypes(emitter)
    if not takes_rows(emitter):
        return []
    return [
        "/* Takes the next n rows of the input (their values one after the other) and computes",
        " * what they allow; 1 when that was the last row and the outputs are there, else 0. The",
        " * arena must be kept between the calls, and reset before the first. */",
        f"{_signature(emitter)};",
        f"void {emitter.name}_reset(void *arena);",
        "",
    ]


def segment(emitter: _Emitter, index: int, stage: Stage) -> list[str]:
    """The function that runs a stage of several calls, and what it needs before it."""
    if emitter.program.hop is not None:
        return hop.segment(emitter, stage)
    return stages.segment(emitter.name, index, stage, emitter.rows_function)


def functions(emitter: _Emitter) -> list[str]:
    """NAME_push_INPUT and NAME_reset."""
    if emitter.program.hop is not None:
        return hop.functions(emitter)
    if not takes_rows(emitter):
        return []
    name, port = emitter.name, emitter.inputs[0]
    program, memory = emitter.program, emitter.memory
    progress = next(i for i, b in enumerate(program.buffers) if b.role == "progress")
    stage = emitter.stages[0]
    taker = next(i for i, c in enumerate(program.calls) if c.kernel == "thm_input_rows")
    rows = program.calls[taker].rows
    length = port.elements // rows
    table, size = table_name(name, 0), 3 * len(stage.steps)
    kind = stage.calls.index(taker)
    members = ["(uint8_t *)arena", "0", *(p.c_name for p in emitter.outputs)]
    later = [
        f"        {function}(&io);"
        for function in dict.fromkeys(
            function
            for layer in program.layers
            for function in emitter.stage_functions(layer.index)
        )
        if function != f"{name}_segment_0"
    ]
    offset = memory.offsets[progress]
    return [
        f"void {name}_reset(void *arena)",
        "{",
        f"    memset((uint8_t *)arena + {offset}, 0, 8);",
        "}",
        "",
        _signature(emitter),
        "{",
        f"    int32_t *progress = (int32_t *)(void *)((uint8_t *)arena + {offset});",
        f"    {name}_io io = {{ {', '.join(members)} }};",
        f"    for (int i = 0; i < n && progress[1] < {rows}; i++) {{",
        "        /* where row 0 of the whole input would lie */",
        f"        const uintptr_t first = (uintptr_t)(rows + i * {length});",
        f"        io.{port.c_name} = (const {DTYPE_TO_C[port.dtype]} *)(first -",
        f"            (uintptr_t)progress[1] * {length} * sizeof *rows);",
        "        progress[1]++;",
        f"        while (progress[0] < {size}) {{",
        f"            const {stage.word} *step = {table} + progress[0];",
        f"            if (step[0] == {kind} && step[1] >= progress[1]) {{",
        "                break;",
        "            }",
        f"            {name}_step_0(&io, step);",
        "            progress[0] += 3;",
        "        }",
        "    }",
        f"    if (progress[1] < {rows}) {{",
        "        return 0;",
        "    }",
        *(line[4:] for line in later),
        f"    {name}_reset(arena);",
        "    return 1;",
        "}",
        "",
    ]
