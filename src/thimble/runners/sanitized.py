"""The emitted C as a program with AddressSanitizer and UndefinedBehaviorSanitizer: for tests.

Arena, inputs and outputs are separate heap blocks of exactly their size, so that one byte too far
stops it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from thimble.codegen.firmware import Firmware
from thimble.errors import Finding, ToolMissing
from thimble.host import layer_flags
from thimble.runners.ports import Array, as_array, input_bytes, port_bytes
from thimble.targets import load_target
from thimble.toolchain import Compiler, cached, find_compilers, write_files
from thimble.toolchain.library import build_key

FLAGS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TIMEOUT_SECONDS = 300.0


class SanitizerFinding(RuntimeError):
    """A sanitizer stopped the generated C: a bug of Thimble, with the sanitizer's report."""


def sanitizing_compiler() -> Compiler:
    """A host compiler with sanitizer runtimes, which zig's clang lacks. Raises ToolMissing."""
    for candidate in find_compilers(load_target("host")):
        if not candidate.is_zig:
            return candidate
    raise ToolMissing(
        Finding(
            "tool-missing",
            "sanitizers",
            "no host compiler with sanitizer runtimes was found",
            "install the Debian package gcc (or clang)",
        )
    )


def program_source(firmware: Firmware) -> str:
    """C text of a program that runs samples from standard input to standard output."""
    name = firmware.name
    ports = (*firmware.inputs, *firmware.outputs)
    align = max(firmware.arena_align, 8)  # posix_memalign takes no less than a pointer's size
    blocks = [("arena", max(firmware.arena_bytes, 1))]
    blocks += [(f"memory_{port.c_name}", port_bytes(port)) for port in ports]
    lines = [
        "#define _POSIX_C_SOURCE 200809L",
        "#include <stdio.h>",
        "#include <stdlib.h>",
        "#include <string.h>",
        f'#include "{name}.h"',
        "",
        "int main(void)",
        "{",
        *(f"    void *{block} = 0;" for block, _ in blocks),
        *(
            f"    if (posix_memalign(&{block}, {align}, {size})) return 3;"
            for block, size in blocks
        ),
        f"    memset(arena, 0xa5, {max(firmware.arena_bytes, 1)});",
        "    for (;;) {",
    ]
    for port in firmware.inputs:
        size = port_bytes(port)
        lines.append(f"        if (fread(memory_{port.c_name}, 1, {size}, stdin) != {size}) break;")
    arguments = ", ".join(["arena", *(f"memory_{port.c_name}" for port in ports)])
    lines.append(f"        {name}_run({arguments});")
    lines += [
        f"        fwrite(memory_{port.c_name}, 1, {port_bytes(port)}, stdout);"
        for port in firmware.outputs
    ]
    lines += ["    }", *(f"    free({block});" for block, _ in blocks), "    return 0;", "}", ""]
    return "\n".join(lines)


def run_sanitized(
    firmware: Firmware, samples: Sequence[Sequence[Array]], layer: str = "scalar"
) -> list[list[Array]]:
    """Outputs of each sample, computed under the sanitizers with the instructions of `layer`.

    Raises SanitizerFinding when they object, ToolMissing without a compiler that has them.
    """
    if not firmware.inputs:
        raise ValueError("a model without inputs would read its samples for ever")
    with_ = sanitizing_compiler()
    files = {**firmware.files, "program.c": program_source(firmware)}
    flags = (*FLAGS, *layer_flags(layer))

    def build(directory: Path) -> None:
        write_files(directory, files)
        objects = with_.compile_objects(directory, [firmware.source, "program.c"], "speed", flags)
        with_.link_program(objects, directory / "program", "speed", flags)

    program = cached(build_key(files, with_, "speed", ("program", *flags)), build) / "program"
    data = b"".join(part for inputs in samples for part in input_bytes(firmware, inputs))
    with tempfile.TemporaryFile() as given:
        given.write(data)
        given.seek(0)
        done = subprocess.run(
            [str(program)], stdin=given, capture_output=True, timeout=TIMEOUT_SECONDS
        )
    if done.returncode != 0:
        report = done.stderr.decode(errors="replace")
        raise SanitizerFinding(f"exit status {done.returncode}\n{report}")
    results: list[list[Array]] = []
    position = 0
    for _ in samples:
        arrays = []
        for port in firmware.outputs:
            size = port_bytes(port)
            arrays.append(as_array(port, done.stdout[position : position + size]))
            position += size
        results.append(arrays)
    return results
