"""NAME_self_test: golden inputs, and what every layer must leave, checked on the device itself.

Integer outputs are compared by a 32-bit FNV-1a hash of their bytes, float outputs by two sums over
their values weighted by position, one with signs and one of magnitudes. The constants are linked
only into firmware that calls the function (-fdata-sections).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.codegen.firmware import Firmware, FirmwareLayer, Port
from thimble.codegen.literals import array_literal, word_literal
from thimble.program import DTYPE_TO_C
from thimble.trace import Trace

Array = np.ndarray

# Sums of magnitudes may differ where libm does (expf, tanhf) and by the order of additions.
FLOAT_TOLERANCE = 1e-3
FLOAT_FLOOR = 1e-6
FLOAT_LIMIT = 1e38
FNV_BASIS = 2166136261
FNV_PRIME = 16777619


def fnv1a(data: bytes, start: int = FNV_BASIS) -> int:
    """FNV-1a 32 over `data`."""
    value = start
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return value


def emit(firmware: Firmware, inputs: Sequence[Array], trace: Trace) -> str:
    """C of NAME_self_test for one golden sample; `trace` holds every layer's outputs for it."""
    name = firmware.name
    checks: list[str] = []
    uses_hash = uses_sum = False
    for position, layer in enumerate(firmware.layers):
        checks += [f"    {function}(io);" for function in layer.stage]
        if not layer.functions:
            continue
        for is_float, condition in _conditions(name, layer, trace):
            uses_sum |= is_float
            uses_hash |= not is_float
            checks += [
                f"    if ({condition}) {{",
                f"        return {position + 1}; /* {layer.op} */",
                "    }",
            ]
    lines = ["/* Self test: one golden sample and what each layer makes of it. */"]
    for port, array in zip(firmware.inputs, inputs):
        c_type = DTYPE_TO_C[port.dtype]
        lines += [
            f"static const {c_type} {name}_golden_{port.c_name}[{max(port.elements, 1)}] = {{",
            array_literal(np.ascontiguousarray(array).reshape(-1).astype(port.dtype), c_type),
            "};",
        ]
    lines += [""]
    lines += _HASH.format(name=name).splitlines() if uses_hash else []
    lines += _SUM.format(name=name).splitlines() if uses_sum else []
    members = [
        "(uint8_t *)arena",
        *(f"{name}_golden_{port.c_name}" for port in firmware.inputs),
        *(_output(port) for port in firmware.outputs),
    ]
    lines += [
        f"int {name}_self_test(void *arena)",
        "{",
        f"    const {name}_io io_values = {{ {', '.join(members)} }};",
        f"    const {name}_io *io = &io_values;",
        "    (void)io;",
        *checks,
        "    return 0;",
        "}",
        "",
    ]
    return "\n".join(lines)


_HASH = """\
/* FNV-1a 32 */
static uint32_t {name}_hash(const void *data, int32_t bytes)
{{
    const uint8_t *at = (const uint8_t *)data;
    uint32_t value = 2166136261u;
    for (int32_t i = 0; i < bytes; i++) {{
        value = (value ^ at[i]) * 16777619u;
    }}
    return value;
}}
"""

_SUM = """\
/* Whether the values, weighted 1 to 7 in turn, and their magnitudes add up; NaN never does.
 * In parts, so that small values are not lost in a large sum. */
static int {name}_adds_up(const void *data, int32_t count, float sum, float magnitude, float slack)
{{
    const float *at = (const float *)data;
    for (int32_t i = 0; i < count;) {{
        const int32_t end = count - i > 1024 ? i + 1024 : count;
        float part = 0.0f;
        float part_magnitude = 0.0f;
        for (; i < end; i++) {{
            const float value = at[i] * (float)(1 + i % 7);
            part += value;
            part_magnitude += value < 0.0f ? -value : value;
        }}
        sum -= part;
        magnitude -= part_magnitude;
    }}
    return sum >= -slack && sum <= slack && magnitude >= -slack && magnitude <= slack;
}}
"""


def _output(port: Port) -> str:
    room = port.room or f"(uint8_t *)arena + {port.arena_offset or 0}"
    return f"({DTYPE_TO_C[port.dtype]} *)(void *)({room})"


def _conditions(name: str, layer: FirmwareLayer, trace: Trace) -> list[tuple[bool, str]]:
    """(is float, C condition that is true where it is wrong) for each output of the layer."""
    found = []
    for point in layer.outputs:
        values = np.ascontiguousarray(trace[point.name])
        if values.size == 0:
            continue
        if point.dtype == "float32":
            flat = values.reshape(-1).astype(np.float64)
            weighted = flat * (1 + np.arange(flat.size) % 7)
            total = float(np.abs(weighted).sum())
            if not total < FLOAT_LIMIT:  # NaN or infinite for this sample: nothing to compare
                continue
            slack = max(total * FLOAT_TOLERANCE, FLOAT_FLOOR)
            words = [word_literal(x, "float") for x in (float(weighted.sum()), total, slack)]
            call = f"!{name}_adds_up({point.expression}, {values.size}, {', '.join(words)})"
            found.append((True, call))
        else:
            data = values.astype(point.dtype).tobytes()
            call = f"{name}_hash({point.expression}, {len(data)}) != {fnv1a(data)}u"
            found.append((False, call))
    return found
