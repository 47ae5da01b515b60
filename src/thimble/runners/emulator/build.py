"""The linked test programs of a firmware on an emulated core, and the sizes of the model in them.

Sizes come from a link of its own, without the harness: NAME.o and the libraries, entry NAME_run,
unused sections dropped. What is allocated there and is neither constants nor data is the model's
code: its functions, the read-only data its compiler made, and what it pulled in of the C library
and the compiler's runtime (`__aeabi_*`, memcpy, expf). Golden vectors and tensor descriptions,
which NAME_run does not reach, do not count.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, DoesNotFit, Finding
from thimble.runners.ports import port_bytes
from thimble.runners.trace_unit import trace_unit
from thimble.targets import Machine, Target
from thimble.toolchain import CompileFailed, Compiler, Elf, cached, read_elf, write_files
from thimble.toolchain.library import build_key

_FOLDER = Path(__file__).parent
STACK_BYTES = 256 << 10
# Room kept in flash for code, and in RAM for the data of libraries, when deciding what goes where.
CODE_RESERVE_BYTES = 192 << 10
DATA_RESERVE_BYTES = 64 << 10
_HARNESS = ("semihosting.c", "harness.c")
# The harness must not draw in library functions (a loop taken for strlen): they would be there
# whether the model needs them or not.
_HARNESS_FLAGS = {
    "gcc": ("-fno-builtin", "-fno-tree-loop-distribute-patterns"),
    "clang": ("-fno-builtin",),
}


@dataclass(frozen=True)
class Sizes:
    """Bytes of the model in the linked firmware.

    flash_bytes: everything of it that is stored, the alignment between constants included.
    """

    code_bytes: int
    weights_bytes: int
    data_bss_bytes: int
    flash_bytes: int


@dataclass(frozen=True)
class Image:
    """A linked test program."""

    path: Path
    elf: Elf


def resource(name: str) -> str:
    """Text of a file of this package."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def _fill(template: str, fields: Mapping[str, str | int]) -> str:
    for key, value in fields.items():
        template = template.replace(f"@{key}@", str(value))
    return template


def case_source(firmware: Firmware, in_arena: bool, trace: bool) -> str:
    """case.c: the model's memory, its call, and the tables that the harness walks."""
    name = firmware.name
    arena = f"THM_GUARDED(arena, {max(firmware.arena_bytes, 1)}, {firmware.arena_align}"
    lines = ['#include "harness.h"', f'#include "{name}.h"', "", f'{arena}, ".thm_arena");']
    guarded = ["arena"]
    addresses: dict[str, str] = {}
    for port in (*firmware.inputs, *firmware.outputs):
        if in_arena and port.arena_offset is not None:
            addresses[port.c_name] = f"arena.data + {port.arena_offset}"
        else:
            memory = f"memory_{port.c_name}"
            align = max(firmware.arena_align, 4)
            lines.append(f'THM_GUARDED({memory}, {max(port_bytes(port), 1)}, {align}, ".thm_io");')
            addresses[port.c_name] = f"{memory}.data"
            guarded.append(memory)
    for role, ports in (("input", firmware.inputs), ("output", firmware.outputs)):
        rows = [f"{{{addresses[p.c_name]}, {port_bytes(p)}}}" for p in ports]
        lines.append(f"const uint32_t thm_{role}_count = {len(ports)};")
        lines.append(f"const thm_range thm_{role}s[] = {{{', '.join([*rows, '{0, 0}'])}}};")
    guards = [
        f"{{{memory}.{side}, THM_GUARD_BYTES}}"
        for memory in guarded
        for side in ("before", "after")
    ]
    arguments = ["arena.data", *(f"(void *)({addresses[p.c_name]})" for p in firmware.inputs)]
    arguments += [f"(void *)({addresses[p.c_name]})" for p in firmware.outputs]
    lines += [
        f"const thm_range thm_guards[] = {{{', '.join([*guards, '{0, 0}'])}}};",
        "",
        "void thm_case_prepare(void)",
        "{",
        "    /* Not zeros: memory that is read before it is written has to show. */",
        "    for (uint32_t i = 0; i < sizeof arena.data; i++) {",
        "        ((volatile uint8_t *)arena.data)[i] = THM_GUARD_VALUE;",
        "    }",
        "    thm_case_reset();",
        "}",
        "",
        "void thm_case_reset(void)",
        "{",
        *([f"    {name}_reset(arena.data);"] if firmware.state_bytes else []),
        "}",
        "",
        "__attribute__((noinline)) uint32_t thm_case_run(uint32_t measure_stack)",
        "{",
        "    uint32_t *const sp = thm_stack_pointer();",
        "    volatile uint32_t *lowest = thm_stack_limit;",
        "    if (measure_stack) {",
        "        for (volatile uint32_t *p = thm_stack_limit; p < sp; p++) {",
        "            *p = THM_PAINT;",
        "        }",
        "    }",
        f"    {name}_run({', '.join(arguments)});",
        "    if (!measure_stack) {",
        "        return 0;",
        "    }",
        "    while (lowest < sp && *lowest == THM_PAINT) {",
        "        lowest++;",
        "    }",
        "    if (lowest == thm_stack_limit) {",
        f'        thm_stop("stack overflow: the model needs more than {STACK_BYTES} bytes\\n", 4);',
        "    }",
        "    return (uint32_t)(sp - lowest) * 4;",
        "}",
        "",
        f"int {name}_self_test(void *memory) __attribute__((weak));",
        "",
        "int thm_case_self_test(int *result)",
        "{",
        f"    if (!{name}_self_test) {{",
        "        return 0;",
        "    }",
        f"    *result = {name}_self_test(arena.data);",
        "    return 1;",
        "}",
        "",
    ]
    if trace:
        points = [point for layer in firmware.layers for point in layer.outputs]
        counts = ", ".join([*(str(len(layer.outputs)) for layer in firmware.layers), "0"])
        sizes = ", ".join([*(str(port_bytes(point)) for point in points), "0"])
        inputs = ", ".join([*(addresses[p.c_name] for p in firmware.inputs), "0"])
        outputs = ", ".join([*(addresses[p.c_name] for p in firmware.outputs), "0"])
        lines += [
            f"const uint32_t thm_layer_count = {len(firmware.layers)};",
            f"const uint32_t thm_layer_points[] = {{{counts}}};",
            f"const uint32_t thm_point_bytes[] = {{{sizes}}};",
            "void thm_trace_begin(void *, const void *const *, void *const *);",
            "",
            "void thm_case_trace_begin(void)",
            "{",
            f"    static const void *const inputs[] = {{{inputs}}};",
            f"    static void *const outputs[] = {{{outputs}}};",
            "    thm_trace_begin(arena.data, inputs, outputs);",
            "}",
            "",
        ]
    return "\n".join(lines)


def _placement(firmware: Firmware, target: Target, machine: Machine) -> dict[str, str | int]:
    """Which of the machine's memories hold constants and arena. Raises DoesNotFit."""
    flash_room = machine.flash.bytes - CODE_RESERVE_BYTES
    ram_room = machine.ram.bytes - STACK_BYTES - DATA_RESERVE_BYTES
    constants = "FLASH" if firmware.weights_bytes <= flash_room else "EXTERNAL"
    arena = "RAM" if firmware.arena_bytes <= ram_room else "EXTERNAL"
    ports = sum(port_bytes(port) for port in (*firmware.inputs, *firmware.outputs))
    external = ports + (firmware.weights_bytes if constants == "EXTERNAL" else 0)
    external += firmware.arena_bytes if arena == "EXTERNAL" else 0
    if external > machine.external.bytes:
        raise DoesNotFit(
            Finding(
                "does-not-fit",
                f"model {firmware.name} on emulated {target.name} ({machine.machine})",
                f"{firmware.weights_bytes} bytes of constants and {firmware.arena_bytes} of arena"
                f" do not fit in the machine's memories: flash {machine.flash.bytes}, RAM"
                f" {machine.ram.bytes}, external {machine.external.bytes} bytes",
                "cortex-m55 has the largest emulated memory",
            )
        )
    return {
        "name": firmware.name,
        "constants": constants,
        "arena": arena,
        "stack_bytes": STACK_BYTES,
        **{
            f"{region}_{field}": getattr(getattr(machine, region), field)
            for region in ("flash", "ram", "external")
            for field in ("origin", "bytes")
        },
    }


def machine_of(target: Target) -> Machine:
    """The emulated machine of `target`. Raises BadInput when it has none."""
    if target.machine is None:
        raise BadInput(
            Finding(
                "no-emulator",
                f"target {target.name}",
                "this target has no emulated machine",
                "use a cortex-m target or riscv32",
            )
        )
    return target.machine


def build_image(
    firmware: Firmware, with_: Compiler, optimize: str, in_arena: bool, trace: bool
) -> Image:
    """The test program of `firmware`, from the cache where it has been built before.

    trace: one that stops after each layer. Raises CompileFailed, DoesNotFit or ToolMissing.
    """
    target = with_.target
    script = _fill(resource("machine.ld"), _placement(firmware, target, machine_of(target)))
    files = {**firmware.files, "case.c": case_source(firmware, in_arena, trace)}
    parts = (f"{machine_of(target).core}.c", *_HARNESS)
    files.update({name: resource(name) for name in (*parts, "harness.h")})
    files["machine.ld"] = script
    model, harness_flags = firmware.source, _HARNESS_FLAGS[with_.kind]
    if trace:
        model, harness_flags = f"{firmware.name}_trace.c", (*harness_flags, "-DTHM_TRACE")
        files[model] = trace_unit(firmware)

    def build(directory: Path) -> None:
        write_files(directory, files)
        objects = with_.compile_objects(directory, [model], optimize)
        objects += with_.compile_objects(directory, [*parts, "case.c"], optimize, harness_flags)
        try:
            with_.link(
                objects, directory / "image.elf", directory / "machine.ld", "thm_reset", optimize
            )
        except CompileFailed as failure:
            if "overflow" in str(failure) or "will not fit" in str(failure):
                raise DoesNotFit(_too_large(firmware, target, str(failure))) from failure
            raise
        _keep_only(directory, "image.elf")

    key = build_key(files, with_, optimize, ("image", model, *harness_flags))
    path = cached(key, build) / "image.elf"
    return Image(path, read_elf(path))


def _too_large(firmware: Firmware, target: Target, text: str) -> Finding:
    return Finding(
        "does-not-fit",
        f"model {firmware.name} on emulated {target.name}",
        "the test program does not fit in the machine's memory: "
        + next((line for line in text.splitlines() if "overflow" in line or "fit" in line), ""),
        "cortex-m55 has the largest emulated memory",
    )


def _keep_only(directory: Path, name: str) -> None:
    """Remove everything but `name`: the cache holds results, not sources."""
    for entry in directory.iterdir():
        if entry.name == name:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def measure_sizes(firmware: Firmware, with_: Compiler, optimize: str) -> Sizes:
    """Code, constants and data of the model alone, as the module's docstring defines them."""
    files = {**firmware.files, "sizes.ld": _fill(resource("sizes.ld"), {"name": firmware.name})}

    def build(directory: Path) -> None:
        write_files(directory, files)
        objects = with_.compile_objects(directory, [firmware.source], optimize)
        entry = f"{firmware.name}_run"
        script = directory / "sizes.ld"
        with_.link(objects, directory / "sizes.elf", script, entry, optimize)
        _keep_only(directory, "sizes.elf")

    path = cached(build_key(files, with_, optimize, ("sizes",)), build) / "sizes.elf"
    return sizes_of(read_elf(path), firmware.name)


def sizes_of(elf: Elf, name: str) -> Sizes:
    """Sizes from the ELF of a model alone."""
    allocated = {s.name: s.bytes for s in elf.sections if s.is_allocated}
    constants = allocated.pop(".constants", 0)
    data = allocated.pop(".data", 0)
    bss = allocated.pop(".bss", 0)
    weights = sum(
        symbol.bytes for symbol in elf.symbols if symbol.name.startswith(f"{name}_const_")
    )
    code = sum(allocated.values())
    return Sizes(code, weights, data + bss, code + constants + data)


def symbol_addresses(elf: Elf, names: Sequence[str]) -> dict[str, int]:
    """name -> address of those of `names` that the linker kept."""
    wanted = set(names)
    return {s.name: s.address for s in elf.symbols if s.name in wanted and s.is_function}
