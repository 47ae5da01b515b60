"""Memory that is used twice at once: element-wise calls in place, joins and splits without copies.

`pairs` finds the outputs that may take over the memory of an operand that dies in the same step;
the planner then gives both one place. `without_copies` lets the inputs of a CONCATENATION be
written where they end up, and the outputs of a SPLIT be read where they are, where the pieces lie
one after the other; the copies disappear. The kernels and their bits stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from thimble.program import KERNELS, Arg, KernelCall, Program, Step, Value, signatures

OWNERS = ("input", "output", "arena")  # roles of memory that the plan gives a place


@cache
def kernels_in_place() -> frozenset[str]:
    """The kernels whose header says that they are safe in place: y may be an operand's memory."""
    headers = {}
    for header in {signature.header for signature in signatures().values()}:
        words = " ".join(re.sub(r"^ ?\*", " ", (KERNELS / header).read_text(), flags=re.M).split())
        headers[header] = re.search(r"\b[Ss]afe in place\b", words) is not None
    return frozenset(name for name, s in signatures().items() if headers[s.header])


@dataclass(frozen=True)
class Pair:
    """In `step`, `y` may lie where one of `operands` lies, if nothing reads that one afterwards."""

    step: int
    y: int
    operands: tuple[int, ...]


def pairs(program: Program) -> list[Pair]:
    """The outputs of whole element-wise calls with the operands of the same size and dtype."""
    if program.hop is not None:
        return []
    found = []
    for number, step in enumerate(program.schedule):
        call = program.calls[step.call]
        if not _is_whole(program, call, step) or call.kernel not in kernels_in_place():
            continue
        outputs = [b for b in call.signature.buffers if b.is_output]
        arg = call.args[outputs[0].name]
        if len(outputs) != 1 or arg is None or not _is_place(program, call, outputs[0].name):
            continue
        size = program.buffers[arg.buffer].bytes
        operands = []
        for param in call.signature.buffers:
            x = call.args[param.name]
            if param.is_output or x is None or not _is_place(program, call, param.name):
                continue
            same = param.c_type == outputs[0].c_type and program.buffers[x.buffer].bytes == size
            if same and x.buffer != arg.buffer and program.buffers[x.buffer].role != "output":
                operands.append(x.buffer)
        if operands:
            found.append(Pair(number, arg.buffer, tuple(dict.fromkeys(operands))))
    return found


def _is_whole(program: Program, call: KernelCall, step: Step) -> bool:
    return step.y_first == 0 and step.y_count == call.rows and call.batches == 1


def _is_place(program: Program, call: KernelCall, name: str) -> bool:
    """Whether the argument is a whole buffer with a place of its own, no ring of a few rows."""
    arg = call.args[name]
    assert arg is not None
    if arg.offset or arg.bytes is not None or program.buffers[arg.buffer].role not in OWNERS:
        return False
    return int(call.params.get(f"{name}_ring", call.rows)) in (1, call.rows)


def shared_places(
    found: Sequence[Pair],
    spans: Sequence[tuple[int, int] | None],
    is_output: Callable[[int], bool],
) -> dict[int, int]:
    """y -> the buffer whose place it takes, for all `found` whose operand dies in their step.

    `spans` are (first, last) of each buffer; the place lives from the first of the one to the last
    of the other. Outputs of the model never give their place away.
    """
    place: dict[int, int] = {}
    last = {i: span[1] for i, span in enumerate(spans) if span is not None}
    given = set()
    for pair in found:
        span = spans[pair.y]
        if span is None or span[0] != pair.step or pair.y in place:
            continue
        for x in pair.operands:
            if last.get(x) == pair.step and x not in given and not is_output(x):
                place[pair.y] = place.get(x, x)
                given.add(x)
                break
    return place


def overlaid(program: Program) -> dict[int, int]:
    """y -> the ring in whose place it lies, row by row (see `streaming`), innermost last."""
    over = {i: b.over for i, b in enumerate(program.buffers) if b.over is not None}
    found = {}
    for y, x in over.items():
        while x in over:
            x = over[x]
        found[y] = x
    return found


def without_copies(program: Program) -> Program:
    """`program` less the copies of joins and splits whose pieces lie one after the other.

    A piece becomes an offset into the whole. Pieces that other memory depends on (model inputs and
    outputs, constants, several joins) are copied as before, and so is everything streamed.
    """
    if program.hop is not None or any(
        not _is_whole(program, program.calls[s.call], s) for s in program.schedule
    ):
        return program
    while (piece := _first_piece(program)) is not None:
        program = _moved(program, *piece)
    return program


def _first_piece(program: Program) -> tuple[int, int, int, int] | None:
    """(call, piece, whole, offset): a copy that can go; None where there is none left."""
    writers: dict[int, list[int]] = {}
    readers: dict[int, list[int]] = {}
    for i, call in enumerate(program.calls):
        for param in call.signature.buffers:
            arg = call.args[param.name]
            if arg is not None:
                (writers if param.is_output else readers).setdefault(arg.buffer, []).append(i)
    for i, call in enumerate(program.calls):
        offsets = _contiguous(call)
        x, y = call.args.get("x"), call.args.get("y")
        if offsets is None or x is None or y is None or call.batches != 1:
            continue
        from_, to = program.buffers[x.buffer], program.buffers[y.buffer]
        joins = to.bytes > from_.bytes
        small, whole = (x, y) if joins else (y, x)
        at = whole.offset + (offsets[1] if joins else offsets[0])
        piece, owner = program.buffers[small.buffer], program.buffers[whole.buffer]
        if piece.role != "arena" or owner.role not in OWNERS or piece.bytes != offsets[2]:
            continue
        if small.offset or at % piece.align or small.buffer == whole.buffer:
            continue
        if joins and owner.role == "input":
            continue
        if to.role != "output" and all(k <= i for k in readers.get(y.buffer, [])):
            continue  # nobody reads it: it would be gone before its layer is over
        if not joins and writers.get(small.buffer, []) != [i]:
            continue
        if not joins and any(k > i for k in writers.get(whole.buffer, [])):
            continue
        return i, small.buffer, whole.buffer, at
    return None


def _contiguous(call: KernelCall) -> tuple[int, int, int] | None:
    """(start in x, start in y, bytes) of a copy of one run of bytes, None for any other call."""
    if call.kernel != "thm_copy_blocks":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    first, last = max(0, p["row_shift"]), min(call.rows, p["row_shift"] + p["x_rows"])
    rows = last - first
    in_row = p["block"] * p["blocks"]
    dense = p["blocks"] == 1 or p["x_step"] == p["block"] == p["y_step"]
    if not dense or (rows > 1 and not p["x_row"] == in_row == p["y_row"]) or rows < 1:
        return None
    x_start = p["x_start"] + (first - p["row_shift"]) * p["x_row"]
    return x_start, p["y_start"] + first * p["y_row"], rows * in_row


def _moved(program: Program, copy: int, piece: int, whole: int, at: int) -> Program:
    """The program without call `copy`, buffer `piece` being part of `whole` from byte `at`."""

    def moved(arg: Arg) -> Arg:
        if arg.buffer != piece:
            return arg
        size = program.buffers[piece].bytes - arg.offset if arg.bytes is None else arg.bytes
        return Arg(whole, at + arg.offset, arg.batch_stride, size)

    calls: list[KernelCall] = []
    new_index: dict[int, int] = {}
    for i, call in enumerate(program.calls):
        if i == copy:
            continue
        new_index[i] = len(calls)
        args: Mapping[str, Arg | None] = {
            name: None if arg is None else moved(arg) for name, arg in call.args.items()
        }
        calls.append(replace(call, args=args))
    schedule = [
        Step(new_index[s.call], s.y_first, s.y_count) for s in program.schedule if s.call != copy
    ]
    values: dict[int, Value] = {
        t: replace(value, arg=moved(value.arg)) for t, value in program.values.items()
    }
    return replace(program, calls=tuple(calls), schedule=tuple(schedule), values=values)
