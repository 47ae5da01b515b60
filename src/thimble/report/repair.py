"""What was repaired in a model, where, and how it was verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import Report, bytes_figure, columns, facts, short

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_LAYERS = 6  # of one repair in the text; JSON has all


@dataclass(frozen=True)
class AppliedRepair:
    """One repair: `bound` is "exact" or how far values may move; `layers` of the original."""

    name: str
    mends: str
    bound: str
    layers: Sequence[str]


@dataclass(frozen=True)
class RepairCheck:
    """A runner's outputs next to what the original means, before and after, over all samples.

    `max_abs` in real values, `max_lsb` in steps of the quantized outputs; None where the runner
    did not run the model, and `note` says why. `passed`: within the bounds.
    """

    runner: str
    before_max_abs: float | None
    before_max_lsb: float | None
    before_mismatched: int | None
    after_max_abs: float | None
    after_max_lsb: float | None
    after_mismatched: int | None
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class RepairReport(Report):
    """`repairs` in the order in which they ran; empty where there was nothing to do."""

    model: str
    repairs: Sequence[AppliedRepair]
    verification: Sequence[RepairCheck] = ()
    samples: int = 0
    layers_before: int = 0
    layers_after: int = 0
    bytes_before: int | None = None
    bytes_after: int | None = None
    output: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        if not self.repairs:
            return [facts([("model", self.model), ("result", "nothing to repair")])]
        summary = facts(
            [
                ("model", self.model),
                ("written", self.output),
                ("layers", f"{self.layers_before} -> {self.layers_after}"),
                ("file before", bytes_figure(self.bytes_before)),
                ("file after", bytes_figure(self.bytes_after)),
                ("verified on", f"{self.samples} samples: {self.provenance.get('data', '')}"),
            ]
        )
        parts: list[RenderableType] = [summary]
        for repair in self.repairs:
            parts += ["", f"{repair.name} ({repair.bound}): {repair.mends}"]
            parts += [f"  {_shortened(layer)}" for layer in repair.layers[:SHOWN_LAYERS]]
            if len(repair.layers) > SHOWN_LAYERS:
                parts.append(f"  and {len(repair.layers) - SHOWN_LAYERS} more")
        head = ("runner", "before: max abs", "LSB", "differing")
        table = columns(
            (*head, "after: max abs", "LSB", "differing", "result"),
            (
                (
                    row.runner,
                    row.before_max_abs,
                    row.before_max_lsb,
                    row.before_mismatched,
                    row.after_max_abs,
                    row.after_max_lsb,
                    row.after_mismatched,
                    "as the original means"
                    if row.passed
                    else "does not run it"
                    if row.after_max_abs is None
                    else "differs, as before",
                )
                for row in self.verification
            ),
            left=(0, 7),
        )
        notes = [f"note: {row.runner}: {row.note}" for row in self.verification if row.note]
        return [*parts, "", table, *notes]


@dataclass(frozen=True)
class RepairEntry:
    """A repair that there is; `by_name`: it runs only when it is asked for."""

    name: str
    mends: str
    bound: str
    by_name: bool


@dataclass(frozen=True)
class RepairList(Report):
    """All repairs, in the order in which they run."""

    repairs: Sequence[RepairEntry]

    def render(self) -> Sequence[RenderableType]:
        rows = [
            (r.name, "by name" if r.by_name else "always", r.bound, r.mends) for r in self.repairs
        ]
        return [columns(("repair", "runs", "values", "mends"), rows, left=(0, 1, 2, 3))]


def _shortened(layer: str) -> str:
    """layer 3 CONV_2D `a/b;c`: the name as tables show it."""
    before, tick, name = layer.partition("`")
    return f"{before}`{short(name[:-1])}`" if tick and name.endswith("`") else layer
