"""The translation unit that lets a runner execute a model one layer at a time.

It includes NAME.c, whose layer functions are static, and gives them numbers.
"""

from __future__ import annotations

from thimble.codegen.firmware import Firmware


def trace_unit(firmware: Firmware) -> str:
    """C text of NAME.c plus three functions, all with external linkage.

    thm_trace_begin(arena, inputs, outputs): sets the memory of the run.
    thm_trace_layer(position): runs the layer at that position of `firmware.layers`.
    thm_trace_address(point): address of the tensor; points are counted over all layers' outputs.
    """
    name = firmware.name
    points = [point for layer in firmware.layers for point in layer.outputs]
    assigns = [f"io.{p.c_name} = (const void *)inputs[{i}];" for i, p in enumerate(firmware.inputs)]
    assigns += [f"io.{port.c_name} = outputs[{i}];" for i, port in enumerate(firmware.outputs)]
    cases = [
        f"    case {i}: return (const void *)({point.expression});"
        for i, point in enumerate(points)
    ]
    lines = [
        f'#include "{firmware.source}"',
        "",
        f"static {name}_io thm_trace_io;",
        "",
        "void thm_trace_begin(void *arena, const void *const *inputs, void *const *outputs);",
        "void thm_trace_layer(int32_t position);",
        "const void *thm_trace_address(int32_t point);",
        "",
        "void thm_trace_begin(void *arena, const void *const *inputs, void *const *outputs)",
        "{",
        "    (void)inputs;",
        "    (void)outputs;",
        "    thm_trace_io.arena = (uint8_t *)arena;",
        *(f"    thm_trace_{text}" for text in assigns),
        "}",
        "",
        "void thm_trace_layer(int32_t position)",
        "{",
        "    switch (position) {",
        *(_case(i, layer.stage) for i, layer in enumerate(firmware.layers) if layer.stage),
        "    default: break;",
        "    }",
        "}",
        "",
        "const void *thm_trace_address(int32_t point)",
        "{",
        f"    const {name}_io *io = &thm_trace_io;",
        "    (void)io;",
        "    switch (point) {",
        *cases,
        "    default: return 0;",
        "    }",
        "}",
        "",
    ]
    return "\n".join(lines)


def _case(position: int, functions: tuple[str, ...]) -> str:
    calls = " ".join(f"{function}(&thm_trace_io);" for function in functions)
    return f"    case {position}: {calls} break;"
