"""Memory regions in the generated C: the first is the arena that NAME_run is given, each other is
an array NAME_region_R that THM_REGION_R, an attribute, puts into its section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thimble.codegen.c import _Emitter
    from thimble.memory import RegionUse


def array(name: str, region: RegionUse) -> str:
    """The C name of the region's memory."""
    return f"{name}_region_{region.name}"


def room(name: str, region: RegionUse, offset: int) -> str:
    """C expression for the byte at `offset` of all offsets, which lies in `region`."""
    return f"{array(name, region)} + {offset - region.base}"


def declarations(emitter: _Emitter) -> list[str]:
    """The lines of the header; none where everything is in one arena."""
    name, used = emitter.name, emitter.memory.regions
    if not used:
        return []
    lines = [
        f"/* Memory regions, the fastest first: {', '.join(region.name for region in used)}.",
        f" * {used[0].name} is the arena that {name}_run is given: {used[0].bytes} bytes. Of the"
        " others each is",
        " * an array; THM_REGION_x, set when the .c is compiled, says where it lies:",
        *(
            f" *   -D'THM_REGION_{region.name}=__attribute__((section(\".{region.name}\")))'"
            for region in used[1:]
            if region.bytes
        ),
        " * THM_WEIGHTS does the same for all constants. */",
    ]
    for region in used[1:]:
        if region.bytes:
            size = f"{name}_REGION_{region.name}_BYTES"
            lines += [
                f"#define {size} {region.bytes}",
                f"extern uint8_t {array(name, region)}[{size}];",
            ]
    for port in (*emitter.inputs, *emitter.outputs):
        if port.room:
            lines.append(f"#define {name}_{port.c_name.upper()}_ROOM ({port.room})")
    return [*lines, ""]


def definitions(emitter: _Emitter) -> list[str]:
    """The arrays, in the source."""
    lines = []
    for region in emitter.memory.regions[1:]:
        if region.bytes:
            lines += [
                f"#ifndef THM_REGION_{region.name}",
                f"#define THM_REGION_{region.name}",
                "#endif",
                f"uint8_t {array(emitter.name, region)}[{region.bytes}] THM_REGION_{region.name}"
                f" __attribute__((aligned({emitter.memory.align})));",
                "",
            ]
    return lines
