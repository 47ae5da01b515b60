"""`host`: the emitted C, compiled for this machine and loaded into this process."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence

import numpy as np

from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, Finding
from thimble.runners.ports import Array, as_array, as_trace, input_bytes, port_bytes
from thimble.runners.trace_unit import trace_unit
from thimble.toolchain import compile_shared_library
from thimble.trace import Trace

ARENA_ALIGN = 64
GUARD_BYTES = 64
GUARD_VALUE = 0xA5


class ArenaOverrun(RuntimeError):
    """The generated C wrote outside its arena or its output: a bug of Thimble."""


class _Memory:
    """Aligned bytes between two guards."""

    def __init__(self, size: int, align: int):
        self.size = size
        raw = np.full(size + 2 * GUARD_BYTES + align, GUARD_VALUE, np.uint8)
        start = -(raw.ctypes.data + GUARD_BYTES) % align + GUARD_BYTES
        self._before = raw[start - GUARD_BYTES : start]
        self._after = raw[start + size : start + size + GUARD_BYTES]
        self.data = raw[start : start + size]
        self.data[:] = 0

    @property
    def address(self) -> int:
        return self.data.ctypes.data

    def check(self, what: str) -> None:
        for guard, side in ((self._before, "before the start"), (self._after, "past the end")):
            touched = np.flatnonzero(guard != GUARD_VALUE)
            if touched.size:
                raise ArenaOverrun(
                    f"{what} of {self.size} bytes: {touched.size} of the {GUARD_BYTES} guard bytes"
                    f" {side} were overwritten"
                )


class HostLibrary:
    """A firmware that runs in this process. One instance runs one inference at a time.

    in_arena: inputs and outputs lie in the arena where the plan keeps room for them, as they would
    on a device; False puts all of them outside. Raises ToolMissing when there is no C compiler.
    """

    def __init__(
        self,
        firmware: Firmware,
        compiler: str = "auto",
        optimize: str = "speed",
        flags: Sequence[str] = (),
        in_arena: bool = True,
    ):
        self.firmware = firmware
        self.path = compile_shared_library(
            firmware, compiler, optimize, flags, wrapper=trace_unit(firmware)
        )
        self._library = ctypes.CDLL(str(self.path))
        self._arena = _Memory(max(firmware.arena_bytes, 1), max(ARENA_ALIGN, firmware.arena_align))
        self._outside: dict[str, _Memory] = {}
        self._views: dict[str, Array] = {}
        for port in (*firmware.inputs, *firmware.outputs):
            size = port_bytes(port)
            if in_arena and port.arena_offset is not None:
                view = self._arena.data[port.arena_offset : port.arena_offset + size]
            else:
                self._outside[port.c_name] = _Memory(size, ARENA_ALIGN)
                view = self._outside[port.c_name].data
            self._views[port.c_name] = view
        self._inputs = [self._views[port.c_name] for port in firmware.inputs]
        self._outputs = [self._views[port.c_name] for port in firmware.outputs]
        self._run = getattr(self._library, f"{firmware.name}_run")
        self._run.restype = None
        self.reset()
        self._arguments = [
            ctypes.c_void_p(address)
            for address in (
                self._arena.address,
                *(view.ctypes.data for view in (*self._inputs, *self._outputs)),
            )
        ]

    def reset(self) -> None:
        """Forget what a stateful firmware has seen."""
        if self.firmware.state_bytes:
            reset = getattr(self._library, f"{self.firmware.name}_reset")
            reset(ctypes.c_void_p(self._arena.address))

    def _fill(self, data: Sequence[bytes]) -> None:
        for view, content in zip(self._inputs, data):
            view[:] = np.frombuffer(content, np.uint8)

    def _check(self) -> None:
        self._arena.check(f"{self.firmware.name}: arena")
        for name, memory in self._outside.items():
            memory.check(f"{self.firmware.name}: {name}")

    def _results(self) -> list[Array]:
        return [
            as_array(port, view.tobytes())
            for port, view in zip(self.firmware.outputs, self._outputs)
        ]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs of one inference. Raises BadInput for wrong arrays and ArenaOverrun."""
        self._fill(input_bytes(self.firmware, inputs))
        self._run(*self._arguments)
        self._check()
        return self._results()

    def push(self, rows: Array) -> list[Array] | None:
        """Rows of an input that is pushed; the outputs where these rows complete them."""
        port = self.firmware.inputs[0]
        data = np.ascontiguousarray(rows, port.dtype)
        function = getattr(self._library, f"{self.firmware.name}_push_{port.c_name}")
        function.restype = ctypes.c_int
        arena, *outputs = self._arguments[:1] + self._arguments[1 + len(self._inputs) :]
        is_ready = function(arena, ctypes.c_void_p(data.ctypes.data), len(data), *outputs)
        self._check()
        return self._results() if is_ready else None

    def seconds(self, inputs: Sequence[Array], repeats: int) -> list[float]:
        """Wall-clock seconds of each of `repeats` inferences, the inputs refilled before each."""
        data = input_bytes(self.firmware, inputs)
        times = []
        for _ in range(repeats):
            self._fill(data)
            start = time.perf_counter()
            self._run(*self._arguments)
            times.append(time.perf_counter() - start)
        self._check()
        return times

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Outputs and each layer's outputs, copied as soon as the layer has run."""
        self._fill(input_bytes(self.firmware, inputs))
        begin, layer_function = self._library.thm_trace_begin, self._library.thm_trace_layer
        address_of = self._library.thm_trace_address
        begin.restype = layer_function.restype = None
        address_of.restype = ctypes.c_void_p
        pointers = [
            (ctypes.c_void_p * max(len(views), 1))(*(view.ctypes.data for view in views))
            for views in (self._inputs, self._outputs)
        ]
        begin(ctypes.c_void_p(self._arena.address), *pointers)
        layers = []
        first_point = 0
        for position, layer in enumerate(self.firmware.layers):
            layer_function(ctypes.c_int32(position))
            self._check()
            arrays = []
            for i, point in enumerate(layer.outputs):
                address = address_of(ctypes.c_int32(first_point + i))
                arrays.append(as_array(point, ctypes.string_at(address, port_bytes(point))))
            first_point += len(layer.outputs)
            layers.append((layer.index, arrays))
        return as_trace(self.firmware, self._results(), layers, "host", {})

    def self_test(self) -> int:
        """NAME_self_test: 0, or the 1-based layer that differs from the golden vector.

        Raises BadInput when the firmware was built without one.
        """
        try:
            function = getattr(self._library, f"{self.firmware.name}_self_test")
        except AttributeError as error:
            raise BadInput(no_self_test(self.firmware)) from error
        function.restype = ctypes.c_int
        result = int(function(ctypes.c_void_p(self._arena.address)))
        self._check()
        return result


def no_self_test(firmware: Firmware) -> Finding:
    """The finding of a firmware that was emitted without golden vectors."""
    return Finding(
        "no-self-test",
        f"model {firmware.name}",
        f"the firmware has no {firmware.name}_self_test",
        "emit it with golden vectors",
    )
