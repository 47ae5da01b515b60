"""What `thimble build` made: memory, code, verification and the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import DRAWN, Report, bytes_figure, columns, facts, short
from thimble.report.plan import PlanReport, RegionBytes

if TYPE_CHECKING:
    from rich.console import RenderableType


REPORT_FILES = ("report.json", "report.txt", "report.html")


@dataclass(frozen=True)
class Ram:
    """Working memory. `arena_bytes` holds inputs and outputs; the stack is what was used."""

    arena_bytes: int
    state_bytes: int = 0
    stack_bytes: int | None = None


@dataclass(frozen=True)
class Flash:
    """`weights_bytes`: all constants as stored; `code_bytes`: linked code less the constants."""

    weights_bytes: int
    code_bytes: int | None = None


@dataclass(frozen=True)
class Verification:
    """The emitted model (`runner`) against `against`, over all outputs of `samples` samples."""

    against: str
    samples: int
    max_abs_lsb: int | None
    mismatched: int
    runner: str = ""
    max_abs: float = 0.0


@dataclass(frozen=True)
class BuildLayer:
    """One layer of the emitted model. `kernel` is None where it needs no code.

    why: this kernel, and how its code is shared. estimated_instructions of one inference on the
    target are by `thimble.cost`, None where nothing is known.
    """

    index: int
    op: str
    name: str
    kernel: str | None
    specialised: bool
    macs: int
    weights_bytes: int
    output_bytes: int
    why: str = ""
    estimated_instructions: int | None = None


@dataclass(frozen=True)
class PlanSummary:
    """How the arena was planned. `optimal`: arena_bytes is proved to be the least."""

    strategy: str
    bound_bytes: int
    optimal: bool


@dataclass(frozen=True)
class BuildReport(Report):
    """Everything about one build. `out` is the folder, "" where nothing was written."""

    model: str
    target: str
    macs: int
    ram: Ram
    flash: Flash
    verification: Verification | None
    layers: Sequence[BuildLayer]
    plan: PlanSummary
    files: Sequence[str] = ()
    out: str = ""
    optimize: str = "auto"
    notes: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    regions: Sequence[RegionBytes] = ()  # of the arena, where it has several; the fastest first
    memory: PlanReport | None = field(default=None, repr=False, compare=False, metadata=DRAWN)

    def as_files(self) -> dict[str, str]:
        """The report as JSON, as text and as a page."""
        renderings = (self.to_json() + "\n", self.text(), self.to_html())
        return dict(zip(REPORT_FILES, renderings))

    def render(self) -> Sequence[RenderableType]:
        plan = f"{self.plan.strategy}, " + (
            "proved the least"
            if self.plan.optimal
            else f"the least possible is at least {self.plan.bound_bytes:,} bytes"
        )
        checked = None
        if self.verification is not None:
            v = self.verification
            found = "equal" if not v.mismatched else f"{v.mismatched} values differ"
            lsb = f", at most {v.max_abs_lsb} LSB" if v.mismatched and v.max_abs_lsb else ""
            checked = f"{v.runner} against {v.against}, {v.samples} samples: {found}{lsb}"
        summary = facts(
            [
                ("model", self.model),
                ("target", self.target),
                ("MACs", f"{self.macs:,}"),
                ("RAM: arena", bytes_figure(self.ram.arena_bytes)),
                (
                    "RAM: regions",
                    ", ".join(f"{r.name} {r.bytes:,} of {r.limit_bytes:,}" for r in self.regions)
                    or None,
                ),
                (
                    "RAM: state",
                    bytes_figure(self.ram.state_bytes) if self.ram.state_bytes else None,
                ),
                ("RAM: stack", bytes_figure(self.ram.stack_bytes)),
                ("flash: weights", bytes_figure(self.flash.weights_bytes)),
                ("flash: code", bytes_figure(self.flash.code_bytes)),
                ("plan", plan),
                ("verified", checked),
                ("folder", self.out or None),
            ]
        )
        table = columns(
            ("layer", "op", "name", "kernel", "MACs", "est. instr.", "weights B", "output B"),
            (
                (
                    x.index,
                    x.op,
                    short(x.name),
                    x.kernel.removeprefix("thm_") if x.kernel else "(shares memory)",
                    x.macs,
                    x.estimated_instructions,
                    x.weights_bytes,
                    x.output_bytes,
                )
                for x in self.layers
            ),
            left=(1, 2, 3),
        )
        by_reason: dict[str, list[str]] = {}
        for x in self.layers:
            by_reason.setdefault(x.why, []).append(str(x.index))
        reasons = columns(
            ("layers", "why this kernel"),
            ((", ".join(layers), why) for why, layers in by_reason.items() if why),
            left=(0, 1),
        )
        return [summary, "", table, "", reasons, *(f"note: {note}" for note in self.notes)]
