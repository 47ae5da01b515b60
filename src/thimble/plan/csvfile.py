"""Planning problems and plans as CSV, in the columns that other planners read and write.

    id,lower,upper,size,alignment,offset

`lower`..`upper` is the lifetime, half open: live in the steps lower, ..., upper - 1. `alignment` (1
when absent) and `offset` (empty: not prescribed) are optional.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

from thimble.errors import BadInput, Finding
from thimble.plan.problem import Block, Plan

REQUIRED = ("id", "lower", "upper", "size")


def read_blocks(text: str, source: str = "csv") -> list[Block]:
    """The blocks of a CSV text. Raises BadInput with a finding for every bad line."""
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    header = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        message = f"has no column {', '.join(missing)}"
        hint = "the first line is: id,lower,upper,size[,alignment][,offset]"
        raise BadInput(Finding("csv", f"{source}, line 1", message, hint))
    blocks: list[Block] = []
    findings: list[Finding] = []
    for row in reader:
        where = f"{source}, line {reader.line_num}"
        try:
            blocks.append(_block(row))
        except (TypeError, ValueError):
            message = "is not a name followed by whole numbers"
            findings.append(Finding("csv", where, message, "give a number in every column"))
    if findings:
        raise BadInput(findings)
    return blocks


def write_blocks(blocks: Sequence[Block], plan: Plan | None = None) -> str:
    """The CSV text of a problem; with `plan`, of its solution."""
    if plan is not None:
        blocks = [replace(b, offset=at) for b, at in zip(blocks, plan.offsets, strict=True)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*REQUIRED, "alignment", "offset"])
    for block in blocks:
        offset = "" if block.offset is None else block.offset
        writer.writerow([block.name, block.first, block.last + 1, block.bytes, block.align, offset])
    return text.getvalue()


def _block(row: dict[str, str]) -> Block:
    alignment, offset = row.get("alignment") or "1", row.get("offset") or None
    return Block(
        name=row["id"],
        bytes=int(row["size"]),
        first=int(row["lower"]),
        last=int(row["upper"]) - 1,
        align=int(alignment),
        offset=None if offset is None else int(offset),
    )
