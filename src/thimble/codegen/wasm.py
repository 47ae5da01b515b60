"""NAME_wasm.c: what a WebAssembly module of the model has besides the model.

A caller of a module has no linker: it needs the memory to be there, and functions that say where.
"""

from __future__ import annotations

from collections.abc import Sequence

from thimble.codegen.firmware import Firmware
from thimble.program import DTYPE_TO_C
from thimble.toolchain.compilers import WASM_STACK_BYTES

_VIEWS = {
    "int8": "Int8Array",
    "uint8": "Uint8Array",
    "bool": "Uint8Array",
    "int16": "Int16Array",
    "int32": "Int32Array",
    "uint32": "Uint32Array",
    "int64": "BigInt64Array",
    "float32": "Float32Array",
}


def link_flags(firmware: Firmware) -> Sequence[str]:
    """How the module is linked."""
    exports = [f"-Wl,--export={name}" for name in wasm_exports(firmware)]
    stack = f"-Wl,-z,stack-size={WASM_STACK_BYTES}"
    return ["-s", "-Wl,--no-entry", "-Wl,--gc-sections", stack, *exports]


def wasm_exports(firmware: Firmware) -> Sequence[str]:
    """The functions of the module."""
    ports = (*firmware.inputs, *firmware.outputs)
    names = [f"{firmware.name}_infer", *(f"{firmware.name}_{port.c_name}" for port in ports)]
    return [*names, f"{firmware.name}_restart"] if firmware.state_bytes else names


def wasm_unit(firmware: Firmware) -> str:
    """C text beside NAME.c: arena, inputs and outputs, and the functions to reach them.

    NAME_infer() is one inference, NAME_<port>() the address of an input or output, NAME_restart(),
    of stateful models only, forgets what the model has seen.
    """
    name = firmware.name
    first = firmware.inputs[0] if firmware.inputs else firmware.outputs[0]
    view = _VIEWS[first.dtype]
    lines = [
        f"/* {name}.wasm: the model, its memory and functions that say where things are. It imports"
        " nothing.",
        " *",
        f" *   const {{instance}} = await WebAssembly.instantiate(bytes_of_{name}_wasm);",
        " *   const m = instance.exports;",
        f" *   new {view}(m.memory.buffer, m.{name}_{first.c_name}(), {first.elements}).set(x);",
        f" *   m.{name}_infer();",
        " *",
        " * Write all inputs before each inference: the memory of an input is used again. */",
        f'#include "{name}.h"',
        "",
        f"static uint8_t {name}_arena[{name}_ARENA_BYTES]"
        f" __attribute__((aligned({name}_ARENA_ALIGN)));",
    ]
    arguments = [f"{name}_arena"]
    functions = []
    for port in (*firmware.inputs, *firmware.outputs):
        c_type = DTYPE_TO_C[port.dtype]
        if port.arena_offset is None:
            place = f"{name}_memory_{port.c_name}"
            lines.append(f"static {c_type} {place}[{max(port.elements, 1)}];")
        else:
            macro = f"{name}_{port.c_name.upper()}_OFFSET"
            place = f"({c_type} *)(void *)({name}_arena + {macro})"
        arguments.append(place)
        functions += [
            "",
            f"/* `{port.name.replace('*/', '* /')}`, {port.dtype} {list(port.shape)} */",
            f"{c_type} *{name}_{port.c_name}(void);",
            f"{c_type} *{name}_{port.c_name}(void)",
            "{",
            f"    return {place};",
            "}",
        ]
    lines += [
        *functions,
        "",
        f"void {name}_infer(void);",
        f"void {name}_infer(void)",
        "{",
        f"    {name}_run({', '.join(arguments)});",
        "}",
        "",
    ]
    if firmware.state_bytes:
        lines += [
            f"void {name}_restart(void);",
            f"void {name}_restart(void)",
            "{",
            f"    {name}_reset({name}_arena);",
            "}",
            "",
        ]
    return "\n".join(lines)
