"""Runners that are wrong, and inputs that are: the faults that no file shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.graph import Model
from thimble.runners.reference import ReferenceRunner
from thimble.support import runnable
from thimble.trace import Trace

Array = np.ndarray
Values = dict[int, Array]


@dataclass
class Memory:
    """What a faulty layer may use: the values of this run, of the run before, chance."""

    values: Values
    before: Values
    rng: np.random.Generator
    run: int
    notes: dict[str, float]  # outlives the run


Corrupt = Callable[[Array, Memory], Array]


class FaultyRunner:
    """The reference, but the output of node `index` goes through `corrupt` before it is read."""

    def __init__(self, model: Model, index: int, corrupt: Corrupt, seed: int):
        self.reference = ReferenceRunner(runnable(model))
        self.index, self.corrupt = index, corrupt
        self.before: Values = {}
        self.rng = np.random.default_rng(seed)
        self.runs = 0
        self.notes: dict[str, float] = {}

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Every tensor, the damage and what follows from it included."""
        graph = self.reference.model.graph
        values: Values = {i: t.data for i, t in enumerate(graph.tensors) if t.data is not None}
        values.update(zip(graph.inputs, inputs))
        true: Values = {}
        for i, node in enumerate(graph.nodes):
            outputs = self.reference.node(i, values)
            if i == self.index:
                true = dict(zip(node.outputs, outputs))
                memory = Memory(values, self.before, self.rng, self.runs, self.notes)
                outputs = [self.corrupt(outputs[0].copy(), memory), *outputs[1:]]
            values.update(zip(node.outputs, outputs))
        self.before = {-1: true[graph.nodes[self.index].outputs[0]]}
        self.runs += 1
        names = [t.name for t in graph.tensors]
        rows = tuple(
            (i, n.op.name, graph.layer_name(i), tuple(names[t] for t in n.outputs))
            for i, n in enumerate(graph.nodes)
        )
        tensors = {names[t]: values[t] for n in graph.nodes for t in n.outputs}
        return Trace({names[t]: values[t] for t in graph.outputs}, tensors, rows, "faulty", {})

    outputs = trace


def _stale(y: Array, memory: Memory) -> Array:
    return memory.before.get(-1, y)


def _half_stale(y: Array, memory: Memory) -> Array:
    old = memory.before.get(-1, y).reshape(-1)
    flat = y.reshape(-1)
    flat[flat.size // 2 :] = old[flat.size // 2 :]
    return flat.reshape(y.shape)


def _garbage(y: Array, memory: Memory) -> Array:
    flat = y.reshape(-1)
    count = max(1, flat.size // 10)
    flat[-count:] = memory.rng.integers(-100, 100, count).astype(y.dtype)
    return flat.reshape(y.shape)


def _channel(y: Array, memory: Memory) -> Array:
    busy = np.flatnonzero(np.ptp(y.reshape(-1, y.shape[-1]).astype(np.float64), axis=0))
    if len(busy):
        y[..., busy[0]] = y.reshape(-1)[0] if y.dtype.kind == "f" else -77
    return y


def _shifted(y: Array, memory: Memory) -> Array:
    return np.roll(y, 1, axis=1)


def _reversed(y: Array, memory: Memory) -> Array:
    return y[..., ::-1].copy()


def _clipped(y: Array, memory: Memory) -> Array:
    high = memory.notes.setdefault("high", float(np.quantile(y.astype(np.float64), 0.9)))
    return np.minimum(y, y.dtype.type(high))


def _not_finite(y: Array, memory: Memory) -> Array:
    y.reshape(-1)[0] = np.nan
    return y


def _offset(y: Array, memory: Memory) -> Array:
    moved = y.astype(np.float64) + (3 if y.dtype.kind == "i" else np.abs(y).max() / 10)
    return (
        np.clip(moved, -128, 127).astype(y.dtype) if y.dtype == np.int8 else moved.astype(y.dtype)
    )


@dataclass(frozen=True, eq=False)
class RunnerFault:
    """A runner that corrupts one layer's output; `causes` that explain it rightly."""

    name: str
    corrupt: Corrupt
    causes: tuple[str, ...]
    dtypes: tuple[str, ...] = ("int8", "float32")
    ranks: tuple[int, ...] = (2, 4)
    ops: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


RUNNER_FAULTS = (
    RunnerFault("stale buffer", _stale, ("stale-buffer", "stale-memory")),
    RunnerFault("half a stale buffer", _half_stale, ("stale-buffer", "stale-memory")),
    RunnerFault("uninitialised memory", _garbage, ("stale-memory",)),
    RunnerFault("a dead channel", _channel, ("output-channel",), ranks=(4,)),
    RunnerFault("rows shifted", _shifted, ("output-permuted",), ranks=(4,)),
    RunnerFault("channels reversed", _reversed, ("output-permuted",), ranks=(2, 4)),
    RunnerFault("output clipped", _clipped, ("saturation", "activation")),
    RunnerFault("NaN", _not_finite, ("output-not-finite",), dtypes=("float32",)),
    RunnerFault("output zeroed", lambda y, m: y * 0, ("output-zeroed", "output-scaled", "runner")),
    RunnerFault("output offset", _offset, ("output-scaled", "zero-point")),
)


@dataclass(frozen=True, eq=False)
class InputFault:
    """B gets other inputs: `change` real samples [samples, ...]; None where it does not apply."""

    name: str
    change: Callable[[Array, np.random.Generator], Array | None]
    causes: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def _channels(x: Array, rng: np.random.Generator) -> Array | None:
    return x[..., ::-1].copy() if x.ndim == 4 and x.shape[-1] == 3 else None


def _turned(x: Array, rng: np.random.Generator) -> Array | None:
    is_square = x.ndim == 4 and x.shape[1] == x.shape[2] > 1
    return np.ascontiguousarray(x.swapaxes(1, 2)) if is_square else None


INPUT_FAULTS = (
    InputFault("wrong mean", lambda x, rng: x + rng.uniform(0.1, 0.3) * x.std(),
               ("preprocessing", "input-clipped")),
    InputFault("wrong standard deviation", lambda x, rng: x * rng.uniform(0.5, 0.9),
               ("preprocessing",)),
    InputFault("wrong mean and deviation", lambda x, rng: x * 0.7 + 0.2 * x.std(),
               ("preprocessing",)),
    InputFault("BGR for RGB", _channels, ("channel-order",)),
    InputFault("transposed images", _turned, ("input-layout",)),
)  # fmt: skip
