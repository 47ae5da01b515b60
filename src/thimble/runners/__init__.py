"""Runners: (model, one sample) -> Trace. `make_runner("host", model)` is how everybody gets one.

reference, program, host and the emulated targets are ours; litert, litert-ref and tflm are peers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from thimble.errors import BadInput, Finding
from thimble.graph import Model
from thimble.trace import Trace

if TYPE_CHECKING:
    from thimble.codegen.firmware import Firmware
    from thimble.runners.emulator import Emulator, Sizes
    from thimble.runners.wasm import WasmModule
    from thimble.targets import Target
    from thimble.toolchain import Compiler

Array = np.ndarray

EMULATED_SAMPLES = 16  # in one start of the emulator


class Runner(Protocol):
    """Runs one sample at a time: inputs in the model's order, dtype and shape."""

    def __enter__(self) -> Runner: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def outputs(self, inputs: Sequence[Array]) -> Trace:
        """Outputs only."""
        ...

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Outputs and each layer's outputs."""
        ...


def outputs_of(runner: Runner, samples: Iterable[Sequence[Array]]) -> Iterator[Trace]:
    """Outputs of every sample in order; emulated targets run several in one start."""
    if not isinstance(runner, _Emulated):
        yield from (runner.outputs(sample) for sample in samples)
        return
    remaining = iter(samples)
    while chunk := list(islice(remaining, EMULATED_SAMPLES)):
        yield from runner.outputs_of_chunk(chunk)


@dataclass
class _Local:
    """A runner of this process: `run` gives the outputs in order, `trace` everything."""

    inner: Any
    names: Sequence[str]
    name: str

    def __enter__(self) -> _Local:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        return None

    def outputs(self, inputs: Sequence[Array]) -> Trace:
        found = self.inner.run(inputs)
        return Trace(dict(zip(self.names, found)), {}, (), self.name, {})

    def trace(self, inputs: Sequence[Array]) -> Trace:
        return self.inner.trace(inputs)


class _Emulated(_Local):
    """An emulated target: outputs come with what was measured."""

    def outputs(self, inputs: Sequence[Array]) -> Trace:
        return self.outputs_of_chunk([inputs])[0]

    def outputs_of_chunk(self, samples: Sequence[Sequence[Array]]) -> list[Trace]:
        """Outputs of each sample, all in one start of the emulator."""
        result = self.inner.run_samples(samples)
        return [
            Trace(
                dict(zip(self.names, arrays)),
                {},
                (),
                self.name,
                {
                    "instructions": instructions,
                    "counted_by": result.counted_by,
                    "stack_bytes": result.stack_bytes,
                    "code_bytes": result.sizes.code_bytes,
                },
            )
            for arrays, instructions in zip(result.samples, result.sample_instructions)
        ]


def output_names(model: Model) -> list[str]:
    """The names of the main graph's outputs, in order."""
    return [model.graph.tensors[t].name for t in model.graph.outputs]


def _reference(model: Model, name: str, shrink: bool) -> Runner:
    from thimble.runners.reference import ReferenceRunner
    from thimble.support import runnable

    return _Local(ReferenceRunner(runnable(model)), output_names(model), name)


def _program(model: Model, name: str, shrink: bool) -> Runner:
    from thimble.build import prepare
    from thimble.runners.program import ProgramRunner

    prepared = prepare(model, shrink=shrink)
    return _Local(ProgramRunner(prepared.program, prepared.memory), output_names(model), name)


def _host(model: Model, name: str, shrink: bool) -> Runner:
    from thimble.build import prepare
    from thimble.host import this_machine
    from thimble.runners.host_library import HostLibrary

    prepared = prepare(model, this_machine(), shrink=shrink)
    return _Local(HostLibrary(prepared.firmware), output_names(model), name)


def _emulated(model: Model, name: str, shrink: bool) -> Runner:
    from thimble.build import prepare
    from thimble.targets import load_target

    target = load_target(name)
    prepared = prepare(model, target, shrink=shrink)
    runner = measuring_runner(prepared.firmware, target)
    return _Emulated(runner, output_names(model), name)


def _litert(model: Model, name: str, shrink: bool) -> Runner:
    from thimble.runners.litert import LiteRTRunner

    return LiteRTRunner(model, name)


def _tflm(model: Model, name: str, shrink: bool) -> Runner:
    from thimble.runners.tflm import TflmRunner

    return TflmRunner(model, name)


_MAKERS: dict[str, Callable[[Model, str, bool], Runner]] = {
    "reference": _reference,
    "program": _program,
    "host": _host,
    "litert": _litert,
    "litert-ref": _litert,
    "litert-nodelegate": _litert,
    "tflm": _tflm,
}

PEERS = ("litert", "litert-ref", "litert-nodelegate", "tflm")


def measuring_runner(
    firmware: Firmware, target: Target, compiler: str = "auto", optimize: str = "speed"
) -> Emulator | WasmModule:
    """What runs `firmware` for `target` and counts: an emulated machine or a WebAssembly engine.

    Raises BadInput for a target that has neither, ToolMissing.
    """
    if target.engine is not None:
        from thimble.runners.wasm import WasmModule

        return WasmModule(firmware, target, compiler, optimize)
    from thimble.runners.emulator import Emulator

    return Emulator(firmware, target, compiler, optimize)


def model_sizes(firmware: Firmware, with_: Compiler, optimize: str) -> Sizes:
    """Bytes of the model alone, linked for the compiler's target. Raises ToolMissing."""
    if with_.target.engine is not None:
        from thimble.runners import wasm

        return wasm.measure_sizes(firmware, with_, optimize)
    from thimble.runners.emulator.build import measure_sizes

    return measure_sizes(firmware, with_, optimize)


def emulated_targets() -> list[str]:
    """The targets that have an emulated machine or an engine, which count instructions."""
    from thimble.targets import load_target, target_names

    return [name for name in target_names() if load_target(name).is_measured]


def runner_names() -> list[str]:
    """All names `make_runner` knows."""
    return [*_MAKERS, *emulated_targets()]


def check_runner(name: str) -> str:
    """`name` itself. Raises BadInput, naming the known runners, for any other name."""
    if name not in runner_names():
        raise BadInput(
            Finding(
                "unknown-runner",
                f"runner `{name}`",
                "there is no such runner",
                f"known runners: {', '.join(runner_names())}",
            )
        )
    return name


def split_runner(text: str) -> tuple[str, str | None]:
    """(PATH, RUNNER) of "PATH@RUNNER"; (text, None) where no runner is named."""
    path, _, last = text.rpartition("@")
    if path and (last in runner_names() or ("/" not in last and "." not in last)):
        return path, last
    return text, None


def make_runner(name: str, model: Model, *, shrink: bool = True) -> Runner:
    """A runner for `model`, to be used in a `with` block. Raises BadInput for an unknown name,

    ToolMissing where something has to be installed first, UnsupportedModel. `shrink`: what is
    emitted leaves out channels that are constant or double; False keeps the file's layers whole.
    """
    check_runner(name)
    return _MAKERS.get(name, _emulated)(model, name, shrink)
