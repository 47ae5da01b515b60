"""One op, one model, every way of running it: the matrix that all tests of ops share.

A `Case` is data: the op with its options, its operands, their quantization. `check(case)` writes it
as a .tflite file and compares

    tflm       the wheel of tflite_micro: what is expected of integers, to the last bit
    litert     LiteRT's reference kernels
    reference  ReferenceRunner on the Graph that our reader makes of the file
    program    the planned Program with the kernels' NumPy twins
    bands      the same, row by row
    host       the emitted C, every warning an error, undefined behaviour trapped; its arena is junk

A column that differs, or cannot run the case, is listed in `Case.exempt` with the reason.
A test file:

    CASES = [Case("relu", Softmax(beta=1.0), (Operand((2, 10), "int8", 0.1, 3),), (Operand(...),))]

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_agrees_everywhere(case):
        check(case)

    def test_limits():
        assert "beta" in refused(Case(...))
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder
from peers import require, run_litert, run_tflm

from thimble.codegen.c import emit
from thimble.errors import UnsupportedModel
from thimble.formats.tflite import dumps, loads
from thimble.graph import Model
from thimble.lower import lower, with_schedule
from thimble.memory import Memory, place
from thimble.ops.contract import Op
from thimble.program import Program, Step
from thimble.runners.program import ProgramRunner
from thimble.runners.reference import ReferenceRunner

Array = np.ndarray
COLUMNS = ("tflm", "litert", "reference", "program", "bands", "host")
FLOAT_RTOL = 1e-5  # of the largest expected value: float sums are ordered differently by LiteRT
C_FLAGS = (
    "-std=c11 -O1 -Wall -Wextra -Wconversion -Werror -ffp-contract=off"
    " -fsanitize=undefined -fsanitize-undefined-trap-on-error -shared -fPIC"
)


@dataclass(frozen=True, eq=False)
class Operand:
    """One tensor. `scale` is a number or one per slice of `axis`; `data` makes it a constant."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | Sequence[float] | None = None
    zero_point: int | Sequence[int] = 0
    axis: int = 0
    data: Array | None = None
    is_variable: bool = False


def constant(
    data: Any,
    dtype: str,
    scale: float | Sequence[float] | None = None,
    zero_point: int = 0,
    axis: int = 0,
) -> Operand:
    """A constant operand with the shape of `data`."""
    array = np.asarray(data, dtype)
    return Operand(array.shape, dtype, scale, zero_point, axis, array)


@dataclass(frozen=True)
class Exempt:
    """Why a column is not compared (`lsb` None), or how far off it may be.

    `lsb` counts steps of integers; for floats it is relative to the largest expected value.
    """

    reason: str
    lsb: float | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A model of one op.

    `values` are the run-time inputs; without them they are drawn over the whole range from `seed`.
    `expected` replaces TFLM as what is right, for cases that it gets wrong or refuses.
    """

    name: str
    op: Op
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand, ...]
    values: tuple[Array, ...] | None = None
    expected: tuple[Array, ...] | None = None
    exempt: Mapping[str, Exempt] = field(default_factory=dict)
    version: int = 1
    seed: int = 0
    draws: int = 2  # how many random inputs

    def __str__(self) -> str:
        return self.name


# --- the file ------------------------------------------------------------------------------------


def file_bytes(case: Case) -> bytes:
    """The case as a .tflite file."""
    builder = ModelBuilder()
    tensors: list[int | None] = []
    for i, t in enumerate(case.inputs):
        if t is None:
            tensors.append(None)
        elif t.data is not None:
            tensors.append(
                builder.const(
                    f"x{i}",
                    t.data,
                    scale=t.scale,
                    zero_point=t.zero_point,
                    axis=t.axis,
                    dtype=t.dtype,
                    shape=t.shape,
                )
            )
        else:
            add = builder.variable if t.is_variable else builder.input
            tensors.append(add(f"x{i}", t.shape, t.dtype, t.scale, t.zero_point))
    builder.op(
        case.op,
        tensors,
        [(t.shape, t.dtype, t.scale, t.zero_point) for t in case.outputs],
        version=case.version,
        names=[f"y{i}" for i in range(len(case.outputs))],
    )
    return dumps(builder.build(builder.nodes[0].outputs))


def model_of(case: Case) -> Model:
    """What our reader makes of the file; the op must come back with every option."""
    model = loads(file_bytes(case), case.name)
    found = model.graph.nodes[0].op
    assert type(found) is type(case.op)
    assert _as_stored(found) == _as_stored(case.op)
    return model


def _as_stored(op: Op) -> dict[str, Any]:
    """The options, floats rounded to the float32 of the file."""
    return {k: np.float32(v) if isinstance(v, float) else v for k, v in vars(op).items()}


def run_time_operands(case: Case) -> list[Operand]:
    """The operands that the caller gives."""
    return [t for t in case.inputs if t is not None and t.data is None and not t.is_variable]


def random_values(case: Case, draw: int = 0) -> tuple[Array, ...]:
    """Inputs over the whole range of each dtype, extremes among them; floats in [-4, 4]."""
    rng = np.random.default_rng([case.seed, draw])
    values = []
    for operand in run_time_operands(case):
        if operand.dtype == "bool":
            values.append(rng.integers(0, 2, operand.shape).astype(bool))
        elif operand.dtype == "float32":
            values.append(rng.uniform(-4, 4, operand.shape).astype(np.float32))
        else:
            info = np.iinfo(operand.dtype)
            full = rng.integers(info.min, info.max, operand.shape, operand.dtype, endpoint=True)
            ends = rng.integers(0, 16, operand.shape)
            full[ends == 0] = info.min
            full[ends == 1] = info.max
            values.append(full)
    return tuple(values)


# --- the columns ---------------------------------------------------------------------------------


def in_bands(program: Program, rows: int = 1) -> Program:
    """The program with every call cut into steps of `rows` rows."""
    steps = tuple(
        Step(i, first, min(rows, call.rows - first))
        for i, call in enumerate(program.calls)
        for first in range(0, call.rows, rows)
    )
    return with_schedule(program, steps)


class HostModel:
    """The emitted C of a program, compiled by gcc and loaded in process."""

    def __init__(self, program: Program, memory: Memory, optimize: str = "auto"):
        self.firmware = emit(program, memory, optimize)
        self.dtypes = [program.values[t].dtype for t in program.outputs]
        self.shapes = [program.values[t].shape for t in program.outputs]
        with tempfile.TemporaryDirectory(prefix="thimble-op-") as name:
            folder = Path(name)
            for path, text in self.firmware.files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
            source, library = folder / f"{self.firmware.name}.c", folder / "model.so"
            command = ["gcc", *C_FLAGS.split(), "-o", str(library), str(source), "-lm"]
            subprocess.run(command, check=True)
            self.library = ctypes.CDLL(os.fspath(library))

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs for `inputs`, from an arena filled with junk."""
        size, align = self.firmware.arena_bytes, self.firmware.arena_align
        memory = np.full(size + align, 0xA5, np.uint8)
        start = -memory.ctypes.data % align
        outputs = [np.zeros(s, d) for s, d in zip(self.shapes, self.dtypes)]
        given = [np.ascontiguousarray(v) for v in inputs]
        pointers = [memory[start:].ctypes.data, *(a.ctypes.data for a in (*given, *outputs))]
        run = getattr(self.library, f"{self.firmware.name}_run")
        run.restype = None
        run(*(ctypes.c_void_p(p) for p in pointers))
        return outputs


# --- the comparison ------------------------------------------------------------------------------


def difference(found: Array, wanted: Array) -> float:
    """Largest difference: in LSB for integers; for floats relative to the largest finite value."""
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    assert found.dtype == wanted.dtype, (found.dtype, wanted.dtype)
    if not found.size or found.tobytes() == wanted.tobytes():
        return 0.0
    if found.dtype.kind != "f":
        return float(np.abs(found.astype(np.int64) - wanted.astype(np.int64)).max())
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    if same.all():
        return 0.0
    a, b = found[~same].astype(np.float64), wanted[~same].astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    finite = wanted[np.isfinite(wanted)]
    return float(np.abs(a - b).max() / max(float(np.abs(finite).max(initial=0)), 1e-30))


def check(case: Case) -> None:
    """Every column agrees: integers bit for bit, floats within FLOAT_RTOL.

    The emitted C and its twins agree bit for bit also on floats, unless "host" is exempt.
    """
    assert set(case.exempt) <= set(COLUMNS), case.exempt
    columns = [c for c in COLUMNS if c not in case.exempt or case.exempt[c].lsb is not None]
    for peer in ("tflm", "litert"):
        if peer in columns:
            require(peer)
    data = file_bytes(case)
    model = model_of(case)
    program = lower(model, "single")
    memory = place(program, "greedy")
    run: dict[str, Callable[[Sequence[Array]], list[Array]]] = {
        "tflm": lambda inputs: run_tflm(data, inputs),
        "litert": lambda inputs: run_litert(data, inputs),
        "reference": ReferenceRunner(model).run,
        "program": ProgramRunner(program, memory).run,
        "bands": ProgramRunner(in_bands(program), memory).run,
        "host": HostModel(program, memory).run,
    }
    for draw in range(1 if case.values is not None else case.draws):
        inputs = case.values if case.values is not None else random_values(case, draw)
        results = {column: run[column](inputs) for column in columns}
        wanted: Sequence[Array] | None = case.expected
        if wanted is None:
            exact = [c for c in ("tflm", "litert") if c in columns and c not in case.exempt]
            assert exact, f"{case.name}: no peer is exact, so the case must say what is expected"
            wanted = results[exact[0]]
        for column, outputs in results.items():
            _compare(case, column, draw, outputs, wanted)
        if not {"program", "host"} & set(case.exempt):
            for in_numpy, in_c in zip(results["program"], results["host"], strict=True):
                np.testing.assert_array_equal(in_c, in_numpy, err_msg=f"{case.name}: C and twin")


def _compare(
    case: Case, column: str, draw: int, outputs: Sequence[Array], wanted: Sequence[Array]
) -> None:
    for i, (found, want) in enumerate(zip(outputs, wanted, strict=True)):
        allowed = FLOAT_RTOL if want.dtype.kind == "f" else 0.0
        if column in case.exempt:
            allowed = case.exempt[column].lsb or 0.0
        worst = difference(found.reshape(want.shape), want)
        if worst > allowed:
            pytest.fail(
                f"{case.name}: {column} differs by {worst} (allowed {allowed}), output {i}, "
                f"draw {draw}\nfound  {found.reshape(-1)[:16]}\nwanted {want.reshape(-1)[:16]}"
            )


def refused(case: Case) -> str:
    """The message of the one finding with which the case is refused."""
    with pytest.raises(UnsupportedModel) as caught:
        lower(loads(file_bytes(case), case.name))
    (finding,) = caught.value.findings
    return finding.message
