"""The files around NAME.c that make it a project: Makefile, CMakeLists.txt, an example main.c.

Nothing here knows the model's arithmetic; flags come from the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from thimble import toolchain
from thimble.codegen.firmware import Firmware
from thimble.codegen.wasm import link_flags, wasm_unit
from thimble.program import DTYPE_TO_C
from thimble.targets import Target

HEADERS = Path(toolchain.__file__).parent / "include"

# The float flags that keep the bits: see toolchain/compilers.py.
FLAGS = (
    "-std=c11",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
)


def emit(firmware: Firmware, target: Target, optimize: str = "speed") -> Mapping[str, str]:
    """Relative path -> text of the project files."""
    goal = "size" if optimize == "size" else "speed"
    files = {
        "Makefile": makefile(firmware, target, goal),
        "CMakeLists.txt": cmake(firmware, target, goal),
        "main.c": main(firmware),
    }
    if target.engine:
        files[f"{firmware.name}_wasm.c"] = wasm_unit(firmware)
    if not target.is_host:  # clang brings no C library: the headers that NAME.c includes
        files |= {f"freestanding/{p.name}": p.read_text() for p in sorted(HEADERS.glob("*.h"))}
    return files


def _flags(target: Target, kind: str, goal: str) -> str:
    spec = target.compilers.get(kind)
    return " ".join((*(spec.flags if spec else ()), *target.optimize[goal]))


def makefile(firmware: Firmware, target: Target, goal: str) -> str:
    """`make` builds libNAME.a for the target, `make host` builds and runs the self test here."""
    name = firmware.name
    has_gcc = "gcc" in target.compilers
    gcc = target.compilers["gcc"].commands[0] if has_gcc else "cc"
    archiver = gcc[: -len("gcc")] + "ar" if gcc.endswith("gcc") else "ar"
    sources = " ".join((firmware.source, *firmware.units))
    objects = " ".join(f"{unit[:-2]}.o" for unit in (firmware.source, *firmware.units))
    clang = "the clang of the ziglang wheel (pip install ziglang)"
    uses = [
        ("make", f"lib{name}.a with {gcc if has_gcc else clang}"),
        *([("make COMPILER=clang", f"the same with {clang}")] if has_gcc else []),
        ("make CC=... CFLAGS=...", "the same with another compiler"),
        *([(f"make {name}.wasm", f"the module of {name}_wasm.c")] if target.engine else []),
        ("make host", "build main.c for this machine and run the self test"),
    ]
    usage = "\n".join(f"#   {call:<22}  {what}" for call, what in uses)
    module = f"""
{name}.wasm: {objects} {name}_wasm.o
\t$(CC) $(TARGET_FLAGS) {" ".join(link_flags(firmware))} $^ -o $@
"""
    return f"""\
# {name} for {target.name}: {target.description}
#
{usage}

COMPILER ?= {"gcc" if has_gcc else "clang"}
PYTHON ?= python3
HOSTCC ?= cc

ifeq ($(origin CC),default)
ifeq ($(COMPILER),clang)
CC = $(PYTHON) -m ziglang cc
else
CC = {gcc}
endif
endif
ifeq ($(origin AR),default)
ifeq ($(COMPILER),clang)
AR = $(PYTHON) -m ziglang ar
else
AR = {archiver}
endif
endif

GCC_FLAGS = {_flags(target, "gcc", goal)}
CLANG_FLAGS = {_flags(target, "clang", goal)} -fno-sanitize=undefined -fno-stack-protector \\
    {"" if target.is_host else "-fhosted -isystem freestanding"}
ifeq ($(COMPILER),clang)
TARGET_FLAGS ?= $(CLANG_FLAGS)
else
TARGET_FLAGS ?= $(GCC_FLAGS)
endif

# -ffp-contract=off: a fused multiply-add rounds once where the reference rounds twice.
COMMON = {" ".join(FLAGS)} -I.

all: lib{name}.a

%.o: %.c $(wildcard *.h thm/*.h thm/*/*.h)
\t$(CC) $(TARGET_FLAGS) $(COMMON) $(CFLAGS) -c $< -o $@

lib{name}.a: {objects}
\trm -f $@
\t$(AR) rcs $@ {objects}
{module if target.engine else ""}
{name}_host: main.c {sources} {name}.h
\t$(HOSTCC) -O2 $(COMMON) $(HOST_CFLAGS) main.c {sources} -o $@ -lm

host: {name}_host
\t./{name}_host

clean:
\trm -f {objects} lib{name}.a {name}_host{f" {name}_wasm.o" if target.engine else ""}

.PHONY: all host clean
"""


def cmake(firmware: Firmware, target: Target, goal: str) -> str:
    """A static library `NAME`: to be built alone, or added with add_subdirectory()."""
    name = firmware.name
    sources = " ".join((firmware.source, *firmware.units))
    flags = "\n    ".join(FLAGS)
    level = " ".join(target.optimize[goal])
    core = " ".join(target.compilers["gcc"].flags) if "gcc" in target.compilers else ""
    gcc = target.compilers["gcc"].commands[0] if core else ""
    hint = (
        f"# Made for {target.name}. Cross-compile with the flags of the core:\n"
        f"#   cmake -B build -DCMAKE_SYSTEM_NAME=Generic -DCMAKE_C_COMPILER={gcc} \\\n"
        f'#     -DCMAKE_C_FLAGS="{core}" -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY\n'
        if core
        else ""
    )
    needs = "libm" if firmware.uses_libm else "no library"
    math = f"target_link_libraries({name} PUBLIC m)\n" if firmware.uses_libm else ""
    return f"""\
# {name}: a neural network as one C file; needs {needs}.
{hint}cmake_minimum_required(VERSION 3.13)
project({name} C)

add_library({name} STATIC {sources})
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
target_compile_options({name} PRIVATE
    {level}
    {flags})
{math}
# An example for the machine that builds it: runs the self test.
if(NOT CMAKE_CROSSCOMPILING AND CMAKE_CURRENT_SOURCE_DIR STREQUAL CMAKE_SOURCE_DIR)
    add_executable({name}_host main.c)
    target_link_libraries({name}_host PRIVATE {name} m)
    enable_testing()
    add_test(NAME {name}_self_test COMMAND {name}_host)
endif()
"""


def main(firmware: Firmware) -> str:
    """main.c: the self test, then one inference with the inputs in the arena."""
    name = firmware.name
    arguments = ["arena"]
    lines = []
    for ports in (firmware.inputs, firmware.outputs):
        for port in ports:
            c_type = DTYPE_TO_C[port.dtype]
            if port.arena_offset is None:
                lines.append(f"    static {c_type} {port.c_name}[{max(port.elements, 1)}];")
            else:
                macro = f"{name}_{port.c_name.upper()}_OFFSET"
                lines.append(
                    f"    {c_type} *{port.c_name} = ({c_type} *)(void *)(arena + {macro});"
                )
            arguments.append(port.c_name)
    clear = [
        f"    memset({p.c_name}, 0, {max(p.elements, 1)} * sizeof *{p.c_name});"
        for p in firmware.inputs
    ]
    shown = "\n".join(
        f"    for (int i = 0; i < {min(p.elements, 8)}; i++) {{\n"
        f'        printf("{p.c_name}[%d] = %g\\n", i, (double){p.c_name}[i]);\n'
        f"    }}"
        for p in firmware.outputs
    )
    body = "\n".join([*lines, *clear])
    return f"""\
/* How to use {name}.h: a self test and one inference. Build and run it here with `make host`. */
#include <stdio.h>
#include <string.h>

#include "{name}.h"

/* All working memory of the model; inputs and outputs have their places in it. */
static uint8_t arena[{name}_ARENA_BYTES] __attribute__((aligned({name}_ARENA_ALIGN)));

int main(void)
{{
    const int wrong = {name}_self_test(arena);
    if (wrong != 0) {{
        printf("{name}: layer %d differs from the golden vector\\n", wrong - 1);
        return 1;
    }}
    printf("{name}: self test passed, arena {firmware.arena_bytes} bytes\\n");

    /* One inference on zeros: write real data here instead. */
{body}
    {name}_run({", ".join(arguments)});
{shown}
    return 0;
}}
"""
