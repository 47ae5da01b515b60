"""Damaged models end in findings or in a correct run, all the way to the emitted C.

The damage is done to the Graph (shapes, dtypes, options, scales, wiring), so that most of it gets
past the reader: a bad byte in a file is the matter of formats/test_hostile_tflite.py.
"""

from __future__ import annotations

import dataclasses
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SHARED
from models import ModelBuilder
from open_models import model_files, random_inputs

from thimble.codegen.c import emit
from thimble.errors import ThimbleError
from thimble.formats.tflite import load
from thimble.graph import Graph, Model, Quant
from thimble.invariants import check_model
from thimble.lower import lower
from thimble.memory import place
from thimble.ops.conv_2d import Conv2D
from thimble.ops.fully_connected import FullyConnected
from thimble.ops.reshape import Reshape
from thimble.ops.softmax import Softmax
from thimble.passes import run_passes
from thimble.runners.program import ProgramRunner

SECONDS = 5
BYTES = 1 << 30
DAMAGED = 2000
NUMBERS = (-(2**31), -7, -1, 0, 1, 2, 3, 5, 8, 17, 129, 4096, 2**31 - 1)
SCALES = (0.0, 1e-38, 1e-9, 1e-3, 0.5, 1.0, 3.0, 1e9, 3e38, -1.0, float("nan"), float("inf"))
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "bool", "float32", "float16", "int4")


def _pick(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def _damaged_tensor(tensor: Any, rng: np.random.Generator) -> Any:
    kind = int(rng.integers(5))
    if kind == 0:
        shape = list(tensor.shape)
        if shape:
            shape[int(rng.integers(len(shape)))] = int(_pick(rng, NUMBERS[2:-1]))
        return dataclasses.replace(tensor, shape=tuple(shape), data=None)
    if kind == 1:
        return dataclasses.replace(tensor, shape=(*tensor.shape, 1), data=None)
    if kind == 2:
        return dataclasses.replace(tensor, dtype=str(_pick(rng, DTYPES)), data=None)
    if kind == 3:
        count = int(rng.integers(3))
        scale = np.array([_pick(rng, SCALES) for _ in range(count)], np.float32)
        zero = np.array([_pick(rng, NUMBERS) for _ in range(count)], np.int64)
        quant = Quant(scale, zero, int(rng.integers(3))) if count else None
        return dataclasses.replace(tensor, quant=quant)
    return dataclasses.replace(tensor, data=None)


def _damaged_option(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return int(_pick(rng, NUMBERS))
    if isinstance(value, float):
        return float(_pick(rng, SCALES))
    if isinstance(value, str):
        return str(_pick(rng, ("NONE", "RELU6", "TANH", "SIGN_BIT", "VALID", "SAME", "float32")))
    if isinstance(value, tuple):
        return tuple(int(_pick(rng, NUMBERS)) for _ in range(int(rng.integers(5))))
    return value


def _damaged_node(node: Any, graph: Graph, rng: np.random.Generator) -> Any:
    kind = int(rng.integers(4))
    fields = dataclasses.fields(node.op)
    if kind < 2 and fields:
        name = _pick(rng, fields).name
        value = _damaged_option(getattr(node.op, name), rng)
        return dataclasses.replace(node, op=dataclasses.replace(node.op, **{name: value}))
    inputs = list(node.inputs)
    if kind == 2 and inputs:
        inputs[int(rng.integers(len(inputs)))] = int(rng.integers(-1, len(graph.tensors)))
    elif inputs:
        inputs.pop()
    return dataclasses.replace(node, inputs=tuple(inputs))


def damage(model: Model, rng: np.random.Generator) -> Model:
    """A copy of `model` with one to three things wrong."""
    graph = model.graph
    for _ in range(int(rng.integers(1, 4))):
        tensors, nodes = list(graph.tensors), list(graph.nodes)
        if rng.integers(2) or not nodes:
            i = int(rng.integers(len(tensors)))
            tensors[i] = _damaged_tensor(tensors[i], rng)
        else:
            i = int(rng.integers(len(nodes)))
            nodes[i] = _damaged_node(nodes[i], graph, rng)
        graph = graph.with_(tensors=tuple(tensors), nodes=tuple(nodes))
    return model.with_graph(graph)


def whole_path(model: Model) -> str:
    """Returns "refused", "large" or "ran"; anything but findings is a failure of ours."""
    try:
        if findings := check_model(model):
            assert all(f.rule and f.where and f.message for f in findings)
            return "refused"
        ready = run_passes(model)
        program = lower(ready)
    except ThimbleError as error:
        complete = all(f.rule and f.where and f.message for f in error.findings)
        return "refused" if complete else f"unhelpful: {error.findings}"
    if sum(b.bytes for b in program.buffers) > BYTES // 64:
        return "large"
    if sum(layer.macs for layer in program.layers) > 10_000_000:
        return "large"
    memory = place(program)
    emit(program, memory)
    ProgramRunner(program, memory).run(random_inputs(ready.graph, 0))
    return "ran"


@pytest.fixture(autouse=True)
def limits() -> Iterator[None]:
    """A time limit for each case, and as much address space as a machine of 1 GB has to spare."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))

    def expire(*_: Any) -> None:
        raise AssertionError(f"no answer in {SECONDS} s")

    signal.signal(signal.SIGALRM, expire)
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def classifier() -> Model:
    """CONV_2D, RESHAPE, FULLY_CONNECTED, SOFTMAX, for clones without the open models."""
    rng = np.random.default_rng(0)
    b = ModelBuilder()
    x = b.input("x", (1, 6, 6, 2), "int8", 0.1, -3)
    w = b.const("w", rng.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8), scale=[0.01] * 4)
    op = Conv2D(padding="SAME", stride_h=2, stride_w=2)
    image = b.op(op, [x, w, None], [((1, 3, 3, 4), "int8", 0.2, 3)], version=3)
    flat = b.op(Reshape((1, 36)), [image], [((1, 36), "int8", 0.2, 3)])
    dense = b.const("d", rng.integers(-127, 128, (5, 36)).astype(np.int8), scale=0.02)
    scores = b.op(FullyConnected(), [flat, dense, None], [((1, 5), "int8", 0.5, 7)], version=4)
    return b.build([b.op(Softmax(beta=1.0), [scores], [((1, 5), "int8", 1 / 256, -128)])])


def _sound_models() -> list[Model]:
    models = [classifier()]
    if SHARED.exists():
        files = [f for f in model_files(SHARED / "data") if f.stat().st_size < 40_000]
        files += sorted((SHARED / "data/structure").glob("*.tflite"))
        for path in files:
            try:
                models.append(load(path))
            except ThimbleError:
                continue
    return models


@pytest.mark.parametrize("part", range(4))
def test_damaged_models_end_in_findings_or_a_run(part: int) -> None:
    rng = np.random.default_rng(part)
    models = _sound_models()
    outcomes: Counter[str] = Counter()
    with np.errstate(all="ignore"):
        for number in range(DAMAGED // 4):
            model = damage(models[int(rng.integers(len(models)))], rng)
            signal.alarm(SECONDS + 1)
            started = time.process_time()
            try:
                outcomes[whole_path(model)] += 1
            except BaseException as error:
                error.add_note(f"part {part}, case {number}, {model.source}")
                raise
            assert time.process_time() - started < SECONDS
    assert outcomes["ran"] > 20
    assert outcomes["refused"] > 100
    assert set(outcomes) <= {"ran", "refused", "large"}
