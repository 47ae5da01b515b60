"""Calls of one function as records of a table: a few bytes of data instead of a call's code.

Under `--optimize size` the calls that share a function and take whole tensors of the arena keep
their words, constants and offsets in a table, from which NAME_call_KERNEL fills in the arguments;
a layer is then two instructions. Integers take the least type that holds all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thimble.codegen.literals import word_literal
from thimble.program import KernelCall

if TYPE_CHECKING:
    from thimble.codegen.c import _Emitter
    from thimble.codegen.variants import Variant

LEAST_CALLS = 3  # fewer are smaller as code
INTEGERS = (
    ("uint8_t", 0, 255),
    ("int8_t", -128, 127),
    ("uint16_t", 0, 65535),
    ("int16_t", -32768, 32767),
)
SIZES = {"uint8_t": 1, "int8_t": 1, "uint16_t": 2, "int16_t": 2}


def least_type(values: Sequence[int | float], c_type: str) -> str:
    """The smallest integer type that holds all `values` of type `c_type`, or that itself."""
    if c_type not in ("int32_t", "uint32_t"):
        return c_type
    for name, low, high in INTEGERS:
        if all(low <= value <= high for value in values):
            return name
    return c_type


@dataclass(frozen=True)
class Words:
    """The words that the calls of a shared function read at run time.

    `source[field]` is the member that holds `field`: fields that agree in every call share one;
    fields that all calls have alike are not there.
    """

    types: dict[str, str]
    source: dict[str, str]


def words_of(users: Sequence[KernelCall]) -> Words:
    """The members, largest first, for the calls `users` of one kernel."""
    params = users[0].signature.params
    columns = {field: tuple(user.params[field] for user in users) for field in params}
    varying = [f for f, column in columns.items() if len(set(column)) > 1] or list(params)[:1]
    first: dict[tuple[object, ...], str] = {}
    source = {f: first.setdefault((params[f], *columns[f]), f) for f in varying}
    types = {f: least_type(columns[f], params[f]) for f in first.values()}
    return Words(dict(sorted(types.items(), key=lambda t: -SIZES.get(t[1], 4))), source)


@dataclass(frozen=True)
class Table:
    """The calls of one function that a table holds, in the order of their records."""

    variant: Variant
    calls: tuple[int, ...]
    caller: str

    def call(self, index: int) -> str:
        """The statement that makes call `index`."""
        return f"{self.caller}(io, {self.calls.index(index)});"


def tables(emitter: _Emitter) -> dict[str, Table]:
    """Function -> the table of those of its calls that can be records."""
    program = emitter.program
    streamed = {step.call for s in emitter.stages if s.streamed for step in s.steps}
    users: dict[Variant, list[int]] = {}
    for i, variant in emitter.variants.items():
        call = program.calls[i]
        roles = {program.buffers[a.buffer].role for a in call.args.values() if a is not None}
        if not (
            variant.kind == "inline"
            or i in streamed
            or call.batches > 1
            or roles & {"input", "output", "port"}
        ):
            users.setdefault(variant, []).append(i)
    found = {}
    for variant, calls in users.items():
        shapes = {i: _shape(emitter, i) for i in calls}
        commonest = Counter(shapes.values()).most_common(1)[0][0]
        chosen = tuple(i for i in calls if shapes[i] == commonest)
        if len(chosen) >= LEAST_CALLS:
            caller = variant.function.replace(f"{emitter.name}_", f"{emitter.name}_call_", 1)
            found[variant.function] = Table(variant, chosen, caller)
    return found


def _shape(emitter: _Emitter, index: int) -> tuple[object, ...]:
    """Which arguments a call has, and from where: calls of one table have them alike."""
    return tuple(
        None if arg is None else emitter.program.buffers[arg.buffer].role == "const"
        for arg in emitter.program.calls[index].args.values()
    )


def definition(emitter: _Emitter, table: Table) -> list[str]:
    """The record type, the table and the function that makes a call of it."""
    program, name = emitter.program, table.variant.function
    calls = [program.calls[i] for i in table.calls]
    members: list[tuple[str, str, int, list[str]]] = []  # C type, name, size, value of each call
    arguments = []
    if table.variant.kind == "shared":
        values = [f"{{ {emitter.words(i)} }}" for i in table.calls]
        members.append((f"{name}_words", "words", 0, values))
        arguments.append("&r->words")
    arguments += ["0", _column(members, "y_count", [call.rows for call in calls])]
    for buffer in calls[0].signature.buffers:
        args = [call.args[buffer.name] for call in calls]
        first = args[0]
        if first is None:
            arguments.append("0")
        elif program.buffers[first.buffer].role == "const":
            texts = [emitter.argument(c, buffer.name, buffer.c_type, False) for c in calls]
            if len(set(texts)) > 1:
                members.append((f"const {buffer.c_type} *", buffer.name, 4, texts))
            arguments.append(texts[0] if len(set(texts)) == 1 else f"r->{buffer.name}")
        else:
            offsets = [emitter.offset(arg) for arg in args if arg is not None]
            at = _offset(members, buffer.name, offsets)
            const = "" if buffer.is_output else "const "
            arguments.append(f"({const}{buffer.c_type} *)({const}void *)(io->arena + {at})")
    members.sort(key=lambda m: -m[2])
    fields = " ".join(f"{c_type} {member};" for c_type, member, _, _ in members)
    rows = [", ".join(values) for values in zip(*(values for _, _, _, values in members))]
    return [
        f"typedef struct {{ {fields} }} {name}_record;",
        f"static const {name}_record {name}_calls[{len(rows)}] = {{",
        *(f"    {{ {row} }}," for row in rows),
        "};",
        f"static THM_NOINLINE void {table.caller}(const {emitter.name}_io *io, uint32_t call)",
        "{",
        f"    const {name}_record *r = &{name}_calls[call];",
        f"    {name}({', '.join(arguments)});",
        "}",
        "",
    ]


def _column(
    members: list[tuple[str, str, int, list[str]]], name: str, values: Sequence[int]
) -> str:
    """Expression for one of `values`: a literal where all are equal, else a new member."""
    if len(set(values)) == 1:
        return word_literal(values[0], "int32_t")
    c_type = least_type(values, "int32_t")
    members.append((c_type, name, SIZES.get(c_type, 4), [str(value) for value in values]))
    return f"r->{name}"


def _offset(
    members: list[tuple[str, str, int, list[str]]], name: str, offsets: Sequence[int]
) -> str:
    """Expression for an offset in bytes; members hold multiples of what all offsets are."""
    unit = math.gcd(*offsets) or 1
    if max(offsets) < 1 << 16 and max(offsets) // unit > 255:
        unit = 1
    text = _column(members, name, [offset // unit for offset in offsets])
    if not text.startswith("r->"):
        return str(offsets[0])
    return text if unit == 1 else f"{text} * {unit}"
