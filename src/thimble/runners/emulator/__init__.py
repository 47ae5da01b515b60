"""`cortex-m*`, `riscv32`: the emitted C on an emulated core, its instructions counted exactly.

Instructions are not cycles, and never reported as time.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from thimble.codegen.firmware import Firmware, Port, TracePoint
from thimble.errors import BadInput
from thimble.runners.emulator.build import (
    Image,
    Sizes,
    build_image,
    machine_of,
    measure_sizes,
    symbol_addresses,
)
from thimble.runners.emulator.qemu import (
    Counting,
    EmulationFailed,
    QemuRun,
    plugin_path,
    qemu_version,
    run_qemu,
)
from thimble.runners.host_library import ArenaOverrun, no_self_test
from thimble.runners.ports import Array, as_array, as_trace, input_bytes, port_bytes
from thimble.targets import Target, load_target
from thimble.toolchain import compiler as find_compiler
from thimble.trace import Trace

__all__ = ["EmulationFailed", "Emulator", "EmulatorResult", "Sizes"]

TIMEOUT_SECONDS = 600.0
_RUN, _RUN_TIMED, _SELF_TEST, _TRACE = range(4)
_FOOTER = struct.Struct("<II")  # stack bytes, guard bytes overwritten
_TICKS = struct.Struct("<Q")


@dataclass(frozen=True, eq=False)
class EmulatorResult:
    """Outputs of each sample and what was measured.

    instructions: executed by one warm NAME_run, from its first instruction to the return to its
    caller
        (sample 0, run for the second time); `sample_instructions` has all samples.
    layer_instructions: layer index -> instructions from the entry of its function to the next
    layer's,
        so with the call; they add up to `instructions` but for what NAME_run does before the first
        layer. Empty where counted_by is "icount".
    counted_by: "plugin" is exact but for the return; "icount" is the core's timer under
    -icount shift=0, exact to about one tick (SysTick: 31 to 50 instructions);
    "fuel" is what wasmtime counts.
    stack_bytes: below the frame that called NAME_run, by painting.
    """

    samples: tuple[tuple[Array, ...], ...]
    instructions: int
    sample_instructions: tuple[int, ...]
    layer_instructions: Mapping[int, int]
    counted_by: Counting | Literal["fuel"]
    stack_bytes: int
    sizes: Sizes

    @property
    def outputs(self) -> list[Array]:
        """Outputs of sample 0."""
        return list(self.samples[0])


class Emulator:
    """A firmware on the emulated machine of `target`.

    in_arena: inputs and outputs lie in the arena where the plan keeps room for them; False puts all
    of them outside. Raises BadInput for a target without machine, ToolMissing, DoesNotFit.
    """

    def __init__(
        self,
        firmware: Firmware,
        target: Target | str,
        compiler: str = "auto",
        optimize: str = "speed",
        *,
        in_arena: bool = True,
        counting: Counting | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ):
        self.firmware = firmware
        self.target = load_target(target) if isinstance(target, str) else target
        self.machine = machine_of(self.target)
        self.compiler = find_compiler(self.target, compiler)
        self.optimize = optimize
        self.in_arena = in_arena
        self.timeout_seconds = timeout_seconds
        self._counting = counting

    @property
    def counting(self) -> Counting:
        """How instructions are counted: as asked for, else by the plugin where it can be built."""
        version = qemu_version(self.machine.qemu, self.machine.package)
        return self._counting or ("plugin" if plugin_path(version[0]) else "icount")

    def _image(self, trace: bool = False) -> Image:
        return build_image(self.firmware, self.compiler, self.optimize, self.in_arena, trace)

    def _qemu(
        self,
        image: Image,
        command: int,
        samples: Sequence[Sequence[Array]],
        counting: Counting | None = None,
        marks: Sequence[int] = (),
    ) -> QemuRun:
        parts = [struct.pack("<II", command, len(samples))]
        for inputs in samples:
            parts += input_bytes(self.firmware, inputs)
        run = run_qemu(self.machine, image, b"".join(parts), counting, marks, self.timeout_seconds)
        if len(run.output) < _FOOTER.size:
            raise EmulationFailed(f"{self.machine.machine}: the program broke off")
        overwritten = _FOOTER.unpack(run.output[-_FOOTER.size :])[1]
        if overwritten:
            raise ArenaOverrun(
                f"{self.firmware.name} on {self.target.name}: {overwritten} guard bytes round the"
                " arena, inputs and outputs were overwritten"
            )
        return run

    def run(self, inputs: Sequence[Array]) -> EmulatorResult:
        """One sample. Raises BadInput, EmulationFailed, ArenaOverrun, and what building raises."""
        return self.run_samples([inputs])

    def run_samples(self, samples: Sequence[Sequence[Array]]) -> EmulatorResult:
        """Several samples in one start of the emulator, after one more run of sample 0."""
        if not samples:
            raise ValueError("no samples")
        image = self._image()
        name, counting = self.firmware.name, self.counting
        functions = [f for layer in self.firmware.layers for f in layer.functions]
        wanted = [f"{name}_run", *functions, "thm_mark_end"]
        addresses = symbol_addresses(image.elf, wanted)
        command = _RUN if counting == "plugin" else _RUN_TIMED
        marks = sorted(set(addresses.values()))
        run = self._qemu(image, command, samples, counting, marks)
        reader = _Reader(run.output)
        outputs, ticks = [], []
        for _ in samples:
            outputs.append(tuple(reader.array(port) for port in self.firmware.outputs))
            ticks.append(_TICKS.unpack(reader.take(_TICKS.size))[0])
        stack_bytes = _FOOTER.unpack(reader.take(_FOOTER.size))[0]
        by_layer: dict[int, int] = {}
        if counting == "plugin":
            counts, by_layer = self._attribute(run.marks, addresses, len(samples))
        else:
            counts = [round(t * 1e9 / self.machine.tick_hz) for t in ticks]
        return EmulatorResult(
            samples=tuple(outputs),
            instructions=counts[0],
            sample_instructions=tuple(counts),
            layer_instructions=by_layer,
            counted_by=counting,
            stack_bytes=stack_bytes,
            sizes=measure_sizes(self.firmware, self.compiler, self.optimize),
        )

    def _attribute(
        self, records: Sequence[tuple[int, int]], addresses: Mapping[str, int], samples: int
    ) -> tuple[list[int], dict[int, int]]:
        """Instructions of each sample, and of each layer in sample 0, from the plugin's records."""
        start, end = addresses[f"{self.firmware.name}_run"], addresses["thm_mark_end"]
        runs: list[list[tuple[int, int]]] = []
        for address, count in records:
            if address == start:
                runs.append([])
            runs[-1].append((address, count))
        if len(runs) != samples + 1 or any(run[-1][0] != end for run in runs):
            raise EmulationFailed(f"{self.machine.machine}: marks are out of order: {records[:20]}")
        # Layers whose code the compiler found to be the same share an address: they take turns.
        owners: dict[int, list[int]] = {}
        by_layer: dict[int, int] = {}
        for layer in self.firmware.layers:
            by_layer[layer.index] = 0
            for function in layer.functions:
                if function in addresses:
                    owners.setdefault(addresses[function], []).append(layer.index)
        warm = runs[1]
        for (address, count), (_, following) in pairwise(warm[1:]):
            turn = owners[address]
            by_layer[turn[0]] += following - count
            turn.append(turn.pop(0))
        return [run[-1][1] - run[0][1] for run in runs[1:]], by_layer

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Outputs and each layer's outputs, copied as soon as the layer has run."""
        reader = _Reader(self._qemu(self._image(trace=True), _TRACE, [inputs]).output)
        layers = [
            (layer.index, [reader.array(point) for point in layer.outputs])
            for layer in self.firmware.layers
        ]
        outputs = [reader.array(port) for port in self.firmware.outputs]
        return as_trace(self.firmware, outputs, layers, self.target.name, {})

    def self_test(self) -> int:
        """NAME_self_test on the target: 0, or the 1-based layer that differs.

        Raises BadInput when the firmware was built without one.
        """
        output = self._qemu(self._image(), _SELF_TEST, []).output
        supported, result = struct.unpack_from("<ii", output)
        if not supported:
            raise BadInput(no_self_test(self.firmware))
        return int(result)


class _Reader:
    """output.bin from front to back."""

    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        part = self.data[self.position : self.position + size]
        if len(part) != size:
            raise EmulationFailed("the program's output is short")
        self.position += size
        return part

    def array(self, what: Port | TracePoint) -> Array:
        return as_array(what, self.take(port_bytes(what)))
