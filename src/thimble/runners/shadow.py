"""`shadow`: the planned Program with every byte of the arena tagged with whose it is.

Before a step, every byte of what it reads must carry the tag of the buffer (and, in rings and
images, of the row) that the step means; after it, the bytes that it wrote carry the new tag. A run
without findings proves that no live byte was overwritten and no stale byte was read. Which rows are
read, `KernelCall.windows` say; which bytes are written is found out by running the twin on two
copies of the output that differ in every byte beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np

from thimble import ops
from thimble.errors import Finding
from thimble.inplace import kernels_in_place
from thimble.memory import Memory
from thimble.program import Arg, KernelCall, Program, Step
from thimble.runners.program import Array, ProgramRunner

NOBODY = -1
ANY_ROW = -1
FILLS = (0x5A, 0xA5)  # differ in every bit
MAX_FINDINGS = 20


class ShadowRunner(ProgramRunner):
    """A `ProgramRunner` that keeps `findings`; empty after a run of a sound program and plan."""

    def __init__(self, program: Program, memory: Memory, arena: Array | None = None):
        super().__init__(program, memory, arena)
        self.findings: list[Finding] = []
        self.owner = np.full(len(self.arena), NOBODY, np.int32)
        self.row = np.full(len(self.arena), ANY_ROW, np.int32)
        self._heights = self._written_rows()
        self._reading = np.zeros(len(self.arena), bool)
        self._writing = np.zeros(len(self.arena), bool)
        self._number = 0

    def _written_rows(self) -> dict[int, int]:
        """Buffer -> rows that the call has which writes it by rows."""
        heights = {}
        for call in self.program.calls:
            for name, arg in self._outputs_of(call):
                if self._row_bytes(call, name, arg):
                    heights[arg.buffer] = call.rows
        return heights

    @staticmethod
    def _outputs_of(call: KernelCall) -> list[tuple[str, Arg]]:
        pairs = ((b.name, call.args[b.name]) for b in call.signature.buffers if b.is_output)
        return [(name, arg) for name, arg in pairs if arg is not None]

    def _row_bytes(self, call: KernelCall, name: str, arg: Arg) -> int:
        """Bytes of one slot of the ring that `call` takes the argument for; 0 where it is none."""
        ring = int(call.params.get(f"{name}_ring", 0))
        size = self.program.buffers[arg.buffer].bytes
        if arg.offset or arg.bytes is not None or call.batches > 1:
            return 0
        if call.accumulates and any(arg is y for _, y in self._outputs_of(call)):
            return 0
        if ring < 1 or size % ring:
            return 0
        return size // ring

    def _span(self, buffer: int) -> slice:
        offset = self.memory.offsets[buffer]
        return slice(offset, offset + self.program.buffers[buffer].bytes)

    def _argument(self, arg: Arg) -> slice:
        """The bytes of an argument: of the whole buffer, unless it says how many."""
        span = self._span(arg.buffer)
        if arg.bytes is None:
            return span
        return slice(span.start + arg.offset, span.start + arg.offset + arg.bytes)

    def _own(self, buffer: int) -> None:
        if buffer in self.memory.offsets:
            self.owner[self._span(buffer)] = buffer
            self.row[self._span(buffer)] = ANY_ROW

    def run(
        self,
        inputs: Sequence[Array],
        after_layer: Callable[[int, list[Array]], None] | None = None,
    ) -> list[Array]:
        """Outputs for `inputs`; what is wrong is added to `findings`."""
        self.owner[:] = NOBODY
        self._number = 0
        for i, buffer in enumerate(self.program.buffers):
            if buffer.role in ("input", "state"):
                self._own(i)
        outputs = super().run(inputs, after_layer)
        for i, buffer in enumerate(self.program.buffers):
            if buffer.role == "output" and i in self.memory.offsets:
                self._check(i, self._span(i), None, "the end")
        return outputs

    # --- one step ---------------------------------------------------------------------------------

    def step(self, call: KernelCall, y_first: int, y_count: int) -> None:
        """Rows [y_first, y_first + y_count) of one call, checked before and tagged after.

        A call whose output rows may replace rows of its input is taken row by row.
        """
        each = 1 if call.overwrites or call.lead is not None else y_count
        for first in range(y_first, y_first + y_count, each):
            self._step(call, first, each)

    def _step(self, call: KernelCall, y_first: int, y_count: int) -> None:
        at = Step(self.program.calls.index(call), y_first, y_count)
        where = f"step {self._number}, call {at.call} {call.kernel} rows {y_first}+{y_count}"
        self._reading[:] = self._writing[:] = False
        for param in call.signature.buffers:
            arg = call.args[param.name]
            if arg is None or arg.buffer not in self.memory.offsets:
                continue
            if not param.is_output:
                self._check_input(call, param.name, arg, at, where)
            elif call.accumulates and y_first > 0 and param.name != "scratch":
                self._check(arg.buffer, self._span(arg.buffer), None, where)
                self._reading[self._span(arg.buffer)] = False  # it may write what it reads here
        written = self._written(call, y_first, y_count)
        for (_, arg), bytes_ in zip(self._outputs_of(call), written):
            if arg.buffer in self.memory.offsets:
                self._check_output(call, arg, bytes_, y_first, where)
        super().step(call, y_first, y_count)
        for (name, arg), bytes_ in zip(self._outputs_of(call), written):
            if arg.buffer in self.memory.offsets:
                self._tag(call, name, arg, at, bytes_, where)
        self._number += 1

    def _check_input(self, call: KernelCall, name: str, arg: Arg, at: Step, where: str) -> None:
        window = call.windows.get(name)
        size = self._row_bytes(call, name, arg)
        if window is None or not size:
            self._check(arg.buffer, self._argument(arg), None, where)
            return
        ring = int(call.params[f"{name}_ring"])
        height = self._heights.get(arg.buffer, ring)
        first = max(at.y_first * window.stride - window.pad, 0)
        last = (at.y_first + at.y_count - 1) * window.stride - window.pad + window.extent
        start = self._span(arg.buffer).start
        for row in range(first, min(last, height)):
            begin = start + row % ring * size
            self._check(arg.buffer, slice(begin, begin + size), row, where)

    def _check_output(
        self, call: KernelCall, y: Arg, written: Array, y_first: int, where: str
    ) -> None:
        """What a step writes is neither what it reads nor another of its outputs, but for operands
        that lie in exactly the same place where the kernel is safe in place, and for the first row
        of the window where the call may write over it.
        """
        buffer = y.buffer
        span = self._span(buffer)
        if call.kernel in kernels_in_place():
            for param in call.signature.buffers:
                arg = call.args[param.name]
                if param.is_output or arg is None or arg.buffer not in self.memory.offsets:
                    continue
                if self._argument(arg) == self._argument(y) and not arg.offset and not y.offset:
                    self._reading[span] = False
        for replaceable in self._replaceable(call, y_first):
            self._reading[replaceable] = False
        over = written & (self._reading[span] | self._writing[span])
        self._writing[span] |= written
        if over.any() and len(self.findings) < MAX_FINDINGS:
            of = f"{int(over.sum())} bytes of {self._name(buffer, None)}"
            message = f"writes {of} over its own inputs or other outputs"
            self.findings.append(Finding("shadow", where, message, "the plan is wrong: our bug"))

    def _replaceable(self, call: KernelCall, row: int) -> list[slice]:
        """The rows of x that only `row` still reads, where the call may write over them."""
        arg, window = call.args.get("x"), call.windows.get("x")
        if not call.overwrites and call.lead is None:
            return []
        assert arg is not None
        if arg.buffer not in self.memory.offsets:
            return []
        if window is None or row == call.rows - 1:
            return [self._span(arg.buffer)]
        size, ring = self._row_bytes(call, "x", arg), int(call.params["x_ring"])
        first = max(row * window.stride - window.pad, 0)
        begin = self._span(arg.buffer).start
        slots = [r % ring for r in range(first, max((row + 1) * window.stride - window.pad, 0))]
        return [slice(begin + k * size, begin + (k + 1) * size) for k in slots]

    def _check(self, buffer: int, span: slice, row: int | None, where: str) -> None:
        self._reading[span] = True
        wrong = self.owner[span] != buffer
        if row is not None:
            wrong |= (self.row[span] != row) & (self.row[span] != ANY_ROW)
        if wrong.any() and len(self.findings) < MAX_FINDINGS:
            byte = span.start + int(np.flatnonzero(wrong)[0])
            self.findings.append(
                Finding(
                    "shadow",
                    where,
                    f"reads {self._name(buffer, row)}, but {int(wrong.sum())} of its bytes from"
                    f" {byte} hold {self._name(int(self.owner[byte]), int(self.row[byte]))}",
                    "the plan, the rings or the windows are wrong: a bug of ours",
                )
            )

    def _name(self, buffer: int, row: int | None) -> str:
        if buffer == NOBODY:
            return "nothing"
        text = f"buffer {buffer} `{self.program.buffers[buffer].name}`"
        return text if row is None or row == ANY_ROW else f"{text} row {row}"

    def _written(self, call: KernelCall, y_first: int, y_count: int) -> list[Array]:
        """Which bytes of each output buffer the step writes, as booleans."""
        outputs = self._outputs_of(call)
        if call.accumulates:
            return [np.ones(self.program.buffers[a.buffer].bytes, bool) for _, a in outputs]
        found = []
        for fill in FILLS:
            copies = {
                name: np.full(self.program.buffers[arg.buffer].bytes, fill, np.uint8)
                for name, arg in outputs
            }
            self._on_copies(call, y_first, y_count, copies)
            found.append(copies)
        return [found[0][name] == found[1][name] for name, _ in outputs]

    def _on_copies(
        self, call: KernelCall, y_first: int, y_count: int, copies: dict[str, Array]
    ) -> None:
        twin = ops.twin(call.kernel)
        for batch in range(call.batches):
            views: list[Array | None] = []
            for param in call.signature.buffers:
                arg = call.args[param.name]
                if arg is None:
                    views.append(None)
                    continue
                start = arg.offset + batch * arg.batch_stride
                is_copy = param.name in copies
                data = copies[param.name][start:] if is_copy else self._bytes(arg, batch)
                item = np.dtype(param.dtype).itemsize
                views.append(data[: len(data) // item * item].view(param.dtype))
            twin(SimpleNamespace(**call.params), y_first, y_count, *views)

    def _tag(
        self, call: KernelCall, name: str, arg: Arg, at: Step, written: Array, where: str
    ) -> None:
        span = self._span(arg.buffer)
        self.owner[span][written] = arg.buffer
        size = self._row_bytes(call, name, arg)
        if not size:
            self.row[span][written] = ANY_ROW
            return
        ring = int(call.params[f"{name}_ring"])
        rows = np.full(ring, NOBODY, np.int32)
        for row in range(at.y_first, at.y_first + at.y_count):
            rows[row % ring] = row
        by_byte = np.repeat(rows, size)
        # A buffer of all rows holds each in a place of its own, and others may cut it differently.
        self.row[span][written] = by_byte[written] if ring < call.rows else ANY_ROW
        outside = written & (by_byte == NOBODY)
        if outside.any() and len(self.findings) < MAX_FINDINGS:
            of = self._name(arg.buffer, None)
            message = f"writes {int(outside.sum())} bytes of other rows of {of}"
            self.findings.append(Finding("shadow", where, message, "a bug of ours"))
