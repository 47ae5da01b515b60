"""C text that runs a firmware many times and says how long one inference took.

Timing in C, so that the cost of calling from Python is not counted.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from thimble.codegen.firmware import Firmware
from thimble.runners.ports import Array, as_array, input_bytes, port_bytes
from thimble.toolchain import compile_shared_library

ALIGN = 64


def repeat_unit(firmware: Firmware) -> str:
    """A translation unit with NAME.c and thm_repeat(arena, ports, count) -> seconds of one run."""
    count = len(firmware.inputs) + len(firmware.outputs)
    arguments = ", ".join(["arena", *(f"ports[{i}]" for i in range(count))])
    return f"""\
#define _POSIX_C_SOURCE 200809L
#include <time.h>
#include "{firmware.source}"

double thm_repeat(void *arena, void *const *ports, long count);

double thm_repeat(void *arena, void *const *ports, long count)
{{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (long i = 0; i < count; i++) {{
        {firmware.name}_run({arguments});
    }}
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec)) /
           (double)count;
}}
"""


class Repeater:
    """A firmware compiled for a vector layer of this machine, and a sample to run again and again.

    Raises ToolMissing without a compiler, BadInput for arrays that do not fit.
    """

    def __init__(self, firmware: Firmware, sample: Sequence[Array], layer: str | None = None):
        self.firmware = firmware
        path = compile_shared_library(firmware, wrapper=repeat_unit(firmware), layer=layer)
        self._repeat = ctypes.CDLL(str(path)).thm_repeat
        self._repeat.restype = ctypes.c_double
        ports = (*firmware.inputs, *firmware.outputs)
        self._arena = _aligned(firmware.arena_bytes)
        self._memory = [_aligned(port_bytes(port)) for port in ports]
        for memory, data in zip(self._memory, input_bytes(firmware, sample)):
            memory[:] = np.frombuffer(data, np.uint8)
        self._ports = (ctypes.c_void_p * len(ports))(*(m.ctypes.data for m in self._memory))

    def seconds(self, count: int) -> float:
        """Mean wall-clock seconds of one of `count` inferences."""
        arena = ctypes.c_void_p(self._arena.ctypes.data)
        return float(self._repeat(arena, self._ports, ctypes.c_long(count)))

    def outputs(self) -> list[Array]:
        """What the last inference left."""
        memory = self._memory[len(self.firmware.inputs) :]
        return [as_array(p, m.tobytes()) for p, m in zip(self.firmware.outputs, memory)]


def _aligned(size: int) -> Array:
    raw = np.zeros(size + ALIGN, np.uint8)
    start = -raw.ctypes.data % ALIGN
    return raw[start : start + size]
