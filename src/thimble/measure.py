"""What a build measures on the target: linked code, stack; and the WebAssembly module."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.codegen.firmware import Firmware
from thimble.errors import ToolMissing
from thimble.targets import Target

Array = np.ndarray


def wasm_module(firmware: Firmware, target: Target, optimize: str, cc: str) -> dict[str, bytes]:
    """NAME.wasm, the module of NAME_wasm.c; nothing without a compiler, as `measure` has said."""
    from thimble.codegen.wasm import wasm_exports, wasm_unit
    from thimble.toolchain import compile_module
    from thimble.toolchain import compiler as find_compiler

    try:
        with_ = find_compiler(target, cc)
    except ToolMissing:
        return {}
    unit = f'#include "{firmware.source}"\n{wasm_unit(firmware)}'
    goal = "size" if optimize == "size" else "speed"
    file = f"{firmware.name}.wasm"
    folder = compile_module(firmware, with_, goal, unit, wasm_exports(firmware))
    return {file: (folder / file).read_bytes()}


def measure(
    firmware: Firmware,
    target: Target,
    sample: Sequence[Array],
    optimize: str,
    notes: list[str],
    cc: str,
) -> tuple[int | None, int | None, dict[str, str]]:
    """(code bytes, stack bytes, how they were got), None where a tool is missing (a note says
    which).

    The code is linked for the target; the stack is painted and read on the emulated core.
    """
    from thimble.runners import measuring_runner, model_sizes
    from thimble.toolchain import compiler

    if not target.is_measured:
        notes.append(
            f"code and stack are measured for emulated targets, which {target.name} is not"
        )
        return None, None, {}
    goal = "size" if optimize == "size" else "speed"
    try:
        with_ = compiler(target, cc)
        sizes = model_sizes(firmware, with_, goal)
    except ToolMissing as error:
        notes.append(
            f"code size not measured: {error.findings[0].message}; {error.findings[0].hint}"
        )
        return None, None, {}
    how = {"code_bytes": f"linked with {with_.name}, {' '.join(target.optimize[goal])}"}
    try:
        result = measuring_runner(firmware, target, cc, goal).run(sample)
    except ToolMissing as error:
        notes.append(f"stack not measured: {error.findings[0].message}; {error.findings[0].hint}")
        return sizes.code_bytes, None, how
    if target.machine is not None:
        where = f"below NAME_run's caller on emulated {target.machine.machine}"
    else:
        where = f"in linear memory by {target.engine}; locals are the engine's"
    how["stack_bytes"] = f"measured {where}"
    return sizes.code_bytes, result.stack_bytes, how
