"""How a model is computed: buffers, an ordered list of kernel calls, and a schedule. Knows no op.

The C headers in `kernels/` are the only declaration of a kernel's arguments; `signature()` reads
them and `KernelCall`s that do not match are refused before anything is emitted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

KERNELS = Path(__file__).parent / "kernels"

C_TYPES = {
    "int8_t": "int8",
    "uint8_t": "uint8",
    "int16_t": "int16",
    "uint16_t": "uint16",
    "int32_t": "int32",
    "uint32_t": "uint32",
    "int64_t": "int64",
    "float": "float32",
    "void": "uint8",
}
DTYPE_TO_C = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "bool": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint32": "uint32_t",
    "float32": "float",
}


@dataclass(frozen=True)
class BufferParam:
    """One pointer argument of a kernel. `dtype` is what its twin sees."""

    name: str
    c_type: str
    is_output: bool

    @property
    def dtype(self) -> str:
        return C_TYPES[self.c_type]


@dataclass(frozen=True)
class Signature:
    """A kernel as its header declares it."""

    kernel: str
    header: str  # "conv_2d.h"
    params: Mapping[str, str]  # field -> "int32_t" | "float", in order
    buffers: tuple[BufferParam, ...]


_STRUCT = re.compile(
    r"typedef struct(?:\s+\w+)?\s*\{(?P<body>[^}]*)\}\s*(?P<name>thm_\w+_params)\s*;"
)
_KERNEL = re.compile(
    r"THM_KERNEL\s+void\s+(?P<name>thm_\w+)\s*\(\s*const\s+(?P<params>thm_\w+_params)\s*\*\s*p\s*,"
    r"\s*int32_t\s+y_first\s*,\s*int32_t\s+y_count\s*,(?P<buffers>[^)]*)\)"
)
_BUFFER = re.compile(r"(?P<const>const\s+)?(?P<type>\w+)\s*\*\s*(?:restrict\s+)?(?P<name>\w+)")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)


@cache
def signatures() -> dict[str, Signature]:
    """All kernels of the package by name. Raises ValueError for a header that breaks the
    convention.
    """
    found: dict[str, Signature] = {}
    for path in sorted(KERNELS.glob("*.h")):
        text = _COMMENT.sub(" ", path.read_text())
        structs: dict[str, dict[str, str]] = {}
        for match in _STRUCT.finditer(text):
            fields: dict[str, str] = {}
            for declaration in match["body"].split(";"):
                words = declaration.replace(",", " ").split()
                if not words:
                    continue
                if words[0] not in ("int32_t", "float"):
                    raise ValueError(f"{path.name}: {match['name']}: {words[0]} is no 32-bit word")
                fields.update(dict.fromkeys(words[1:], words[0]))
            structs[match["name"]] = fields
        for match in _KERNEL.finditer(text):
            if match["params"] not in structs:
                raise ValueError(f"{path.name}: {match['name']}: {match['params']} is not declared")
            buffers = tuple(
                BufferParam(b["name"], b["type"], b["const"] is None)
                for b in _BUFFER.finditer(match["buffers"])
            )
            found[match["name"]] = Signature(
                match["name"], path.name, structs[match["params"]], buffers
            )
    return found


@dataclass(frozen=True)
class Arg:
    """Where a kernel argument lies: a buffer, a byte offset, and the step from batch to batch.

    `bytes`: how much of the buffer it is where that is not all the rest.
    """

    buffer: int
    offset: int = 0
    batch_stride: int = 0
    bytes: int | None = None


@dataclass(frozen=True)
class Window:
    """Which rows of an input an output row needs: [y * stride - pad, y * stride - pad + extent).

    Clipped to the tensor. Element-wise kernels have Window(1, 0, 1); a kernel that needs all rows
    of a buffer for any output row names no window for it.
    """

    stride: int = 1
    pad: int = 0
    extent: int = 1


@dataclass(frozen=True, eq=False)
class Buffer:
    """A piece of memory.

    role: const | input | output | arena | scratch | state | port (an input that arrives by rows
    and never lies in the arena) | progress (how far the rows of such inputs have come).
    """

    name: str
    bytes: int
    role: str
    dtype: str
    align: int = 4
    data: np.ndarray | None = None
    port: int = 0  # index of the model input or output
    over: int | None = None  # the buffer in whose place this one lies; they share it row by row


@dataclass(frozen=True, eq=False)
class KernelCall:
    """One kernel with all its words and buffers. `rows` is the number of output rows it can be cut
    into.

    overwrites: the input, if any, where an output row may be written over the first row of its
    window, because rows are computed in order and nothing reads that row afterwards.
    lead: bytes that `y` may begin before `x` where both are whole and nothing else reads x
    afterwards: what is written then lies where nothing is read any more. None: not at all.
    insns: estimated instructions of all rows in one step; step_insns: of every further step.
    """

    kernel: str
    params: Mapping[str, int | float]
    args: Mapping[str, Arg | None]
    layer: int
    rows: int = 1
    batches: int = 1
    windows: Mapping[str, Window] = field(default_factory=dict)
    accumulates: bool = False  # every row adds to the whole output, row 0 starts it
    alike: str = ""  # calls alike share a function: their work is in functions of the arch layer
    overwrites: str = ""
    lead: int | None = None
    insns: int = 0
    step_insns: int = 0
    why: str = ""  # this kernel and not another of the same op, for reports

    @property
    def signature(self) -> Signature:
        return signatures()[self.kernel]

    def problems(self) -> list[str]:
        """How this call differs from its header; empty when it fits."""
        if self.kernel not in signatures():
            return [f"no header declares {self.kernel}"]
        sig = self.signature
        wrong = []
        if set(self.params) != set(sig.params):
            missing = sorted(set(sig.params) - set(self.params))
            extra = sorted(set(self.params) - set(sig.params))
            wrong.append(f"{self.kernel}: params missing {missing}, unknown {extra}")
        if set(self.args) != {b.name for b in sig.buffers}:
            wrong.append(f"{self.kernel}: buffers {sorted(self.args)} but header has {sig.buffers}")
        for name, value in self.params.items():
            if sig.params.get(name) == "int32_t" and not -(2**31) <= value < 2**31:
                wrong.append(f"{self.kernel}: {name} = {value} is no 32-bit word")
        return wrong


@dataclass(frozen=True)
class Step:
    """Rows [y_first, y_first + y_count) of one call."""

    call: int
    y_first: int
    y_count: int


@dataclass(frozen=True)
class Layer:
    """One node of the graph as the program sees it: `values` are its outputs (tensor index ->
    Arg).
    """

    index: int
    op: str
    name: str
    macs: int
    outputs: tuple[int, ...]  # indices into Program.values
    comment: str


@dataclass(frozen=True, eq=False)
class Value:
    """A named tensor of the program and where it lies."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    arg: Arg
    scale: float = 0.0
    zero_point: int = 0
    is_whole: bool = True  # False: only some rows are in memory at a time


@dataclass(frozen=True, eq=False)
class Hop:
    """A program that goes on for ever: its schedule is one hop of new input rows.

    In it a step of an `advance`d call starts at row y_first + rows * counter; after each hop every
    counter goes up by one and from its modulus back to 0. A step of thm_input_rows is the arrival
    of one row (which nobody needs where y_count is 0).
    """

    rows: int  # input rows of a hop
    first_step: int  # where the schedule is entered after a reset
    warm_up: int  # hops after a reset that give no outputs yet
    advance: Mapping[int, tuple[int, int]]  # call -> (counter, rows per hop)
    moduli: tuple[int, ...]
    fills: Mapping[int, int]  # state buffer -> value of its bytes after a reset


@dataclass(frozen=True, eq=False)
class Program:
    """Everything codegen and the interpreter need. `schedule` lists the steps in order."""

    name: str
    buffers: tuple[Buffer, ...]
    calls: tuple[KernelCall, ...]
    schedule: tuple[Step, ...]
    layers: tuple[Layer, ...]
    values: Mapping[int, Value]  # tensor index -> value
    inputs: tuple[int, ...]  # tensor indices
    outputs: tuple[int, ...]
    hop: Hop | None = None

    def reads_writes(self) -> list[tuple[set[int], set[int]]]:
        """Buffers that each step of the schedule reads and writes (scratch counts as written)."""
        steps = []
        for step in self.schedule:
            call = self.calls[step.call]
            reads: set[int] = set()
            writes: set[int] = set()
            for param in call.signature.buffers:
                arg = call.args[param.name]
                if arg is not None:
                    (writes if param.is_output else reads).add(arg.buffer)
            steps.append((reads, writes))
        return steps
