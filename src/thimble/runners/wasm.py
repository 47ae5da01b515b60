"""`wasm`: the emitted C as a WebAssembly module in wasmtime, its instructions counted as fuel.

Fuel is what wasmtime takes from a program: one for an instruction and one for entering a function,
nothing for `block`, `loop`, `else`, `end`, `drop`, `nop` and `return`. The same run always takes
the same fuel, on any machine. It says how much work the module is, not how many instructions of the
machine below an engine makes of it: one wasm instruction can copy a whole tensor (memory.copy).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, Finding, ToolMissing
from thimble.runners.emulator import EmulationFailed, EmulatorResult, Sizes
from thimble.runners.host_library import (
    ARENA_ALIGN,
    GUARD_BYTES,
    GUARD_VALUE,
    ArenaOverrun,
    no_self_test,
)
from thimble.runners.ports import Array, as_array, as_trace, input_bytes, port_bytes
from thimble.runners.trace_unit import trace_unit
from thimble.targets import Target, load_target
from thimble.toolchain import Compiler, compile_module, read_wasm
from thimble.toolchain import compiler as find_compiler
from thimble.toolchain.compilers import WASM_STACK_BYTES
from thimble.trace import Trace

MAX_INSTRUCTIONS = 10**12  # of one call: a model that hangs ends after minutes
PAINT = 0x5C
PAGE_BYTES = 1 << 16
POINTER_BYTES = 4


def module_unit(firmware: Firmware) -> str:
    """The trace unit and, for each layer, `thm_wasm_layer_K`, which does what the layer has to."""
    lines = [trace_unit(firmware)]
    for k, layer in enumerate(firmware.layers):
        calls = " ".join(f"{function}(&thm_trace_io);" for function in layer.stage)
        lines += [
            f"void thm_wasm_layer_{k}(void);",
            f"void thm_wasm_layer_{k}(void) {{ {calls} }}",
        ]
    return "\n".join([*lines, ""])


def measure_sizes(firmware: Firmware, with_: Compiler, optimize: str) -> Sizes:
    """Sizes of the module that has NAME_run alone, without its custom sections.

    What of it is not the model's constants is its code: functions, their types, other data.
    """
    unit = f'#include "{firmware.source}"\n'
    folder = compile_module(firmware, with_, optimize, unit, [f"{firmware.name}_run"])
    segments = read_wasm(folder / f"{firmware.name}.o").segments
    module = read_wasm(folder / f"{firmware.name}.wasm").bytes

    def total(*prefixes: str) -> int:
        return sum(size for name, size in segments.items() if name.startswith(prefixes))

    weights = total(f".rodata.{firmware.name}_const_")
    return Sizes(module - weights, weights, total(".data", ".bss"), module)


class WasmModule:
    """A firmware as a module in wasmtime; the same methods as an Emulator.

    in_arena: inputs and outputs lie in the arena where the plan keeps room for them; False puts all
    of them outside. Raises BadInput for a target that is not WebAssembly, and ToolMissing.
    """

    def __init__(
        self,
        firmware: Firmware,
        target: Target | str = "wasm",
        compiler: str = "auto",
        optimize: str = "speed",
        *,
        in_arena: bool = True,
        max_instructions: int = MAX_INSTRUCTIONS,
    ):
        self.firmware = firmware
        self.target = load_target(target) if isinstance(target, str) else target
        if self.target.engine is None:
            hint = "use the target wasm"
            raise BadInput(
                Finding("no-engine", f"target {self.target.name}", "is not WebAssembly", hint)
            )
        if importlib.util.find_spec("wasmtime") is None:
            raise ToolMissing(
                Finding(
                    "tool-missing",
                    f"target {self.target.name}",
                    "the Python package wasmtime was not found",
                    "pip install 'thimble-ml[wasm]'",
                )
            )
        self.compiler = find_compiler(self.target, compiler)
        self.optimize = optimize
        self.max_instructions = max_instructions
        self._instantiate(self._compile())
        self._lay_out(in_arena)
        self.reset()

    def _compile(self) -> bytes:
        firmware = self.firmware
        names = [f"{firmware.name}_run", "thm_trace_begin", "thm_trace_address"]
        names += [f"thm_wasm_layer_{k}" for k in range(len(firmware.layers))]
        names += ["__heap_base", "__stack_pointer"]
        names += [f"{firmware.name}_reset"] if firmware.state_bytes else []
        test = f"{firmware.name}_self_test"
        if re.search(rf"^int {test}\(", firmware.files[firmware.source], re.MULTILINE):
            names.append(test)
        unit = module_unit(firmware)
        folder = compile_module(firmware, self.compiler, self.optimize, unit, names)
        return (folder / f"{firmware.name}.wasm").read_bytes()

    def _instantiate(self, content: bytes) -> None:
        import wasmtime

        config = wasmtime.Config()
        config.consume_fuel = True
        engine = wasmtime.Engine(config)
        self._traps: tuple[type[Exception], ...] = (wasmtime.Trap, wasmtime.WasmtimeError)
        self._store = wasmtime.Store(engine)
        self._store.set_fuel(self.max_instructions)
        module = wasmtime.Module(engine, content)
        self._exports: Any = wasmtime.Instance(self._store, module, []).exports(self._store)

    def _lay_out(self, in_arena: bool) -> None:
        """Arena, then inputs and outputs, each between guards, above what the module has itself."""
        firmware = self.firmware
        align = max(ARENA_ALIGN, firmware.arena_align)
        end = self._exports["__heap_base"].value(self._store)
        guards = []

        def take(size: int) -> int:
            nonlocal end
            start = -(-(end + GUARD_BYTES) // align) * align
            end = start + size + GUARD_BYTES
            guards.extend([(start - GUARD_BYTES, start), (start + size, end)])
            return start

        self._arena = take(max(firmware.arena_bytes, 1))
        self._places: dict[str, int] = {}
        ports = (*firmware.inputs, *firmware.outputs)
        for port in ports:
            inside = in_arena and port.arena_offset is not None
            offset = port.arena_offset or 0
            self._places[port.c_name] = self._arena + offset if inside else take(port_bytes(port))
        self._pointers = take(POINTER_BYTES * (len(ports) + 2))
        memory = self._exports["memory"]
        missing = end - memory.data_len(self._store)
        if missing > 0:
            memory.grow(self._store, -(-missing // PAGE_BYTES))
        self._memory = np.ctypeslib.as_array(memory.get_buffer_ptr(self._store))
        self._memory[self._arena : end] = GUARD_VALUE
        self._guards = guards
        for start, stop in guards:
            self._memory[start:stop] = GUARD_VALUE

    def _call(self, name: str, *arguments: int) -> tuple[Any, int]:
        """(result, fuel taken) of an exported function. Raises EmulationFailed where it traps."""
        self._store.set_fuel(self.max_instructions)
        try:
            result = self._exports[name](self._store, *arguments)
        except self._traps as error:
            what = str(error).strip().splitlines()[-1].strip()
            raise EmulationFailed(f"wasmtime: {self.firmware.name}: {what}") from error
        return result, self.max_instructions - self._store.get_fuel()

    def _infer(self) -> int:
        ports = (*self.firmware.inputs, *self.firmware.outputs)
        arguments = [self._places[port.c_name] for port in ports]
        return self._call(f"{self.firmware.name}_run", self._arena, *arguments)[1]

    def _fill(self, inputs: Sequence[Array]) -> None:
        for port, data in zip(self.firmware.inputs, input_bytes(self.firmware, inputs)):
            start = self._places[port.c_name]
            self._memory[start : start + len(data)] = np.frombuffer(data, np.uint8)

    def _results(self) -> list[Array]:
        self._check()
        return [
            as_array(port, self._bytes(self._places[port.c_name], port_bytes(port)))
            for port in self.firmware.outputs
        ]

    def _bytes(self, address: int, size: int) -> bytes:
        return self._memory[address : address + size].tobytes()

    def _check(self) -> None:
        overwritten = sum(
            int(np.count_nonzero(self._memory[start:stop] != GUARD_VALUE))
            for start, stop in self._guards
        )
        if overwritten:
            raise ArenaOverrun(
                f"{self.firmware.name} on {self.target.name}: {overwritten} guard bytes round the"
                " arena, inputs and outputs were overwritten"
            )

    def reset(self) -> None:
        """Forget what a stateful firmware has seen."""
        if self.firmware.state_bytes:
            self._call(f"{self.firmware.name}_reset", self._arena)

    def run(self, inputs: Sequence[Array]) -> EmulatorResult:
        """One sample. Raises BadInput, EmulationFailed and ArenaOverrun."""
        return self.run_samples([inputs])

    def run_samples(self, samples: Sequence[Sequence[Array]]) -> EmulatorResult:
        """Several samples, after two more runs of sample 0, for the stack and for the layers."""
        if not samples:
            raise ValueError("no samples")
        self._fill(samples[0])
        stack_bytes = self._stack_bytes()
        self.reset()
        by_layer = self._count_layers(samples[0])
        self.reset()
        outputs, counts = [], []
        for inputs in samples:
            self._fill(inputs)
            counts.append(self._infer())
            outputs.append(tuple(self._results()))
        return EmulatorResult(
            samples=tuple(outputs),
            instructions=counts[0],
            sample_instructions=tuple(counts),
            layer_instructions=by_layer,
            counted_by="fuel",
            stack_bytes=stack_bytes,
            sizes=measure_sizes(self.firmware, self.compiler, self.optimize),
        )

    def _stack_bytes(self) -> int:
        """How much of the stack in memory NAME_run writes, by painting it."""
        top = self._exports["__stack_pointer"].value(self._store)
        assert top == WASM_STACK_BYTES, "the stack is not where the linker was told to put it"
        self._memory[:top] = PAINT
        self._infer()
        written = np.flatnonzero(self._memory[:top] != PAINT)
        return top - int(written[0]) if written.size else 0

    def _begin(self, inputs: Sequence[Array]) -> None:
        """Hand over the memory of a run that goes layer by layer."""
        self._fill(inputs)
        firmware = self.firmware
        places = [
            [self._places[port.c_name] for port in ports]
            for ports in (firmware.inputs, firmware.outputs)
        ]
        words = np.array([*places[0], 0, *places[1], 0], "<u4").view(np.uint8)
        self._memory[self._pointers : self._pointers + words.size] = words
        outputs = self._pointers + POINTER_BYTES * (len(places[0]) + 1)
        self._call("thm_trace_begin", self._arena, self._pointers, outputs)

    def _count_layers(self, inputs: Sequence[Array]) -> Mapping[int, int]:
        """layer index -> instructions, its call included.

        Layers of a streamed segment take turns there, so that only the segment can be counted: they
        are left out.
        """
        self._begin(inputs)
        counts: dict[int, int] = {}
        for k, layer in enumerate(self.firmware.layers):
            used = self._call(f"thm_wasm_layer_{k}")[1] - 1  # of entering thm_wasm_layer_k
            if set(layer.stage) == set(layer.functions):
                counts[layer.index] = used
        return counts

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Outputs and each layer's outputs, copied as soon as the layer has run."""
        self.reset()
        self._begin(inputs)
        layers = []
        first = 0
        for k, layer in enumerate(self.firmware.layers):
            self._call(f"thm_wasm_layer_{k}")
            arrays = []
            for i, point in enumerate(layer.outputs, first):
                address = self._call("thm_trace_address", i)[0]
                arrays.append(as_array(point, self._bytes(address, port_bytes(point))))
            first += len(layer.outputs)
            layers.append((layer.index, arrays))
        return as_trace(self.firmware, self._results(), layers, self.target.name, {})

    def self_test(self) -> int:
        """NAME_self_test in the engine: 0, or the 1-based layer that differs.

        Raises BadInput when the firmware was built without one.
        """
        name = f"{self.firmware.name}_self_test"
        if name not in self._exports:
            raise BadInput(no_self_test(self.firmware))
        result = int(self._call(name, self._arena)[0])
        self._check()
        return result
