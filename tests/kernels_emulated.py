"""Runs kernels as an emulated core compiles them: many calls in one start of the emulator.

The C is one firmware for each set of kernels, whose single input holds all calls (words, params
and buffers as data) and whose output is the same memory after them: what the twins leave there,
guards between the buffers included, is what must be found.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from kernels_c import run_twin

from thimble.codegen.c import kernel_files
from thimble.codegen.firmware import Firmware, Port
from thimble.program import signatures
from thimble.runners import measuring_runner
from thimble.targets import load_target

Array = np.ndarray
ALIGN = 16
GUARD = bytes([0xA5]) * 32
HEAD_WORDS = 6  # kernel, y_first, y_count, words, buffers, bytes to the next call


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a kernel; a buffer called `scratch` may hold anything afterwards."""

    kernel: str
    params: Mapping[str, int | float]
    buffers: Mapping[str, Array | None]
    y_first: int = 0
    y_count: int = 1

    def words(self) -> bytes:
        """The params struct."""
        return b"".join(
            (np.float32 if c_type == "float" else np.int32)(self.params[name]).tobytes()
            for name, c_type in signatures()[self.kernel].params.items()
        )


@dataclass(frozen=True)
class _Place:
    """Where a buffer lies in the memory of all calls."""

    call: int
    name: str
    start: int
    bytes: int


def assert_core_agrees(
    calls: Sequence[Call], target: str, compiler: str = "auto", optimize: str = "speed"
) -> None:
    """All calls on the emulated core and as twins leave the same bytes everywhere but in scratch.

    Raises what building and emulating raise.
    """
    kernels = tuple(sorted({call.kernel for call in calls}))
    before, _ = _memory(calls, kernels)
    after = [_run_twin(call) for call in calls]
    expected, places = _memory(after, kernels)
    emulator = measuring_runner(
        _firmware(kernels, len(before)), load_target(target), compiler, optimize
    )
    found = emulator.run([np.frombuffer(before, np.uint8)]).outputs[0].tobytes()
    problems = []
    end_of_last = 0
    for place in places:
        if found[end_of_last : place.start] != expected[end_of_last : place.start]:
            problems.append(f"bytes before {_name(calls, place)} were overwritten")
        end_of_last = place.start + place.bytes
        if place.name == "scratch":
            continue
        got, wanted = (
            np.frombuffer(memory, np.uint8, place.bytes, place.start)
            for memory in (found, expected)
        )
        if not np.array_equal(got, wanted):
            at = np.flatnonzero(got != wanted)
            problems.append(f"{len(at)} bytes of {_name(calls, place)} differ, first {at[:8]}")
    if found[end_of_last:] != expected[end_of_last:]:
        problems.append("bytes after the last call were overwritten")
    assert not problems, f"{target}, {emulator.compiler.name}:\n" + "\n".join(problems)


def _name(calls: Sequence[Call], place: _Place) -> str:
    call = calls[place.call]
    rows = f"rows {call.y_first} + {call.y_count}"
    return f"`{place.name}` of call {place.call}, {call.kernel} {rows} {call.params}"


def _run_twin(call: Call) -> Call:
    buffers = {k: None if v is None else v.reshape(-1).copy() for k, v in call.buffers.items()}
    run_twin(call.kernel, dict(call.params), buffers, call.y_first, call.y_count)
    return Call(call.kernel, call.params, buffers, call.y_first, call.y_count)


def _memory(calls: Sequence[Call], kernels: Sequence[str]) -> tuple[bytes, list[_Place]]:
    """All calls one after the other, and where their buffers are."""
    memory, places = bytearray(), []
    for index, call in enumerate(calls):
        sig = signatures()[call.kernel]
        assert set(call.params) == set(sig.params), set(call.params) ^ set(sig.params)
        words = call.words()
        start = len(memory)
        head = 4 * HEAD_WORDS + len(words) + 4 * len(sig.buffers)
        body, offsets = bytearray(), []
        for parameter in sig.buffers:
            array = call.buffers[parameter.name]
            if array is None:
                offsets.append(-1)
                continue
            assert array.itemsize == np.dtype(parameter.dtype).itemsize, parameter.name
            body += GUARD + bytes(-(head + len(body) + len(GUARD)) % ALIGN)
            offsets.append(head + len(body))
            places.append(_Place(index, parameter.name, start + offsets[-1], array.nbytes))
            body += np.ascontiguousarray(array).tobytes()
        body += GUARD
        body += bytes(-(head + len(body)) % ALIGN)
        memory += struct.pack(
            f"<{HEAD_WORDS}i",
            kernels.index(call.kernel),
            call.y_first,
            call.y_count,
            len(words) // 4,
            len(offsets),
            head + len(body),
        )
        memory += words + struct.pack(f"<{len(offsets)}i", *offsets) + body
    return bytes(memory + struct.pack("<i", -1) + bytes(ALIGN - 4)), places


def _firmware(kernels: Sequence[str], size: int) -> Firmware:
    """A firmware `lab` of one input and one output of `size` bytes."""
    headers = sorted({signatures()[kernel].header for kernel in kernels})
    lines = ['#include "lab.h"', *(f'#include "thm/{header}"' for header in headers), ""]
    for i, kernel in enumerate(kernels):
        sig = signatures()[kernel]
        arguments = [
            f"({'' if b.is_output else 'const '}{b.c_type} *)(void *)buffers[{k}]"
            for k, b in enumerate(sig.buffers)
        ]
        lines += [
            f"static void lab_{i}(const void *p, int32_t first, int32_t count, uint8_t **buffers)",
            "{",
            f"    {kernel}((const {kernel}_params *)p, first, count, {', '.join(arguments)});",
            "}",
            "",
        ]
    lines += [
        "void lab_run(void *arena, const uint8_t *input, uint8_t *output)",
        "{",
        "    (void)arena;",
        f"    memcpy(output, input, {size});",
        "    for (uint8_t *call = output;;) {",
        "        const int32_t *head = (const int32_t *)(void *)call;",
        "        if (head[0] < 0) {",
        "            return;",
        "        }",
        f"        const int32_t *words = head + {HEAD_WORDS}, *offsets = words + head[3];",
        "        uint8_t *buffers[16];",
        "        for (int32_t i = 0; i < head[4]; i++) {",
        "            buffers[i] = offsets[i] < 0 ? 0 : call + offsets[i];",
        "        }",
        "        switch (head[0]) {",
        *(
            f"        case {i}: lab_{i}(words, head[1], head[2], buffers); break;"
            for i in range(len(kernels))
        ),
        "        }",
        "        call += head[5];",
        "    }",
        "}",
        "",
    ]
    files = {f"thm/{path}": text for path, text in kernel_files([*headers, "model.h"]).items()}
    declaration = "void lab_run(void *arena, const uint8_t *input, uint8_t *output);"
    members = "uint8_t *arena; const uint8_t *input; uint8_t *output;"
    places = [
        "enum { lab_ARENA_BYTES = 16, lab_ARENA_ALIGN = 16 };",
        f"typedef struct {{ {members} }} lab_io;",
    ]
    files["lab.h"] = "\n".join(['#include "thm/model.h"', *places, declaration, ""])
    files["lab.c"] = "\n".join(lines)
    ports = [(Port(name, name, (size,), "uint8"),) for name in ("input", "output")]
    uses_libm = any("<math.h>" in text for text in files.values())
    return Firmware("lab", files, ports[0], ports[1], (), 1, 16, 0, 0, 0, uses_libm)
