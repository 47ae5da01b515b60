"""How far two runs of a model are apart, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import DRAWN, Report, columns, facts, short

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_CAUSES = 5


@dataclass(frozen=True)
class Divergence:
    """A layer of B, by its index, name and op."""

    index: int
    name: str
    op: str


@dataclass(frozen=True)
class CompareLayer:
    """One layer of B next to its counterpart in A (`matched`: the tensor's name), over all samples.

    `max_abs`, `mean_abs` in real values; `max_lsb` in steps of B's scale, None for float tensors;
    `mismatched` elements that are not equal; `sqnr_db` = 10 log10(sum a^2 / sum (a - b)^2), None
    where equal. max_abs splits into `introduced` (B's output against A's layer fed with B's
    inputs; `introduced_lsb` in steps) and `inherited` (A's layer fed with B's inputs against A's
    output); None where A's layer cannot be run. `cause` is the first of the report's causes here.
    """

    index: int
    op: str
    name: str
    max_abs: float
    max_lsb: float | None
    mean_abs: float
    sqnr_db: float | None
    mismatched: int
    introduced: float | None = None
    inherited: float | None = None
    cause: str | None = None
    introduced_lsb: float | None = None
    mismatched_share: float = 0.0
    matched: str | None = None


@dataclass(frozen=True)
class Cause:
    """Why a layer differs: the rule that says so (docs/explain.md) and where; best first.

    `index` is B's layer (-1: the inputs). `score` is the share of the layer's difference that the
    cause explains, `evidence` the figures that it rests on. `proof`: "shown" in the numbers of
    this layer, "rounding" alone, "silent" in these samples, or "suspect". `repair` names a rewrite
    of `thimble repair`, where there is one.
    """

    rule: str
    index: int
    op: str
    name: str
    message: str
    hint: str
    evidence: str
    score: float
    proof: str
    repair: str | None = None


@dataclass(frozen=True)
class Spread:
    """Histograms of a tensor in A and B over [low, high]; ranges: (least, greatest) values."""

    low: float
    high: float
    a: Sequence[int]
    b: Sequence[int]
    range_a: tuple[float, float]
    range_b: tuple[float, float]


@dataclass(frozen=True)
class CompareReport(Report):
    """`equal`: every layer agrees within the tolerance; `max_abs_lsb` is over all layers."""

    equal: bool
    max_abs_lsb: float | None
    first_divergence: Divergence | None
    layers: Sequence[CompareLayer]
    a: str = ""
    b: str = ""
    samples: int = 0
    tolerance_lsb: float = 0.0
    max_abs: float = 0.0
    only_in_a: Sequence[str] = ()
    only_in_b: Sequence[str] = ()
    notes: Sequence[str] = ()
    causes: Sequence[Cause] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    spreads: Mapping[str, Spread] = field(  # by tensor
        default_factory=dict, repr=False, compare=False, metadata=DRAWN
    )

    def render(self) -> Sequence[RenderableType]:
        first = self.first_divergence
        summary = facts(
            [
                ("A", self.a),
                ("B", self.b),
                ("samples", self.samples),
                (
                    "result",
                    "equal"
                    if self.equal and first is None
                    else f"equal within {self.tolerance_lsb:g} LSB"
                    if self.equal
                    else "different",
                ),
                ("outputs differ by", f"{self.max_abs:.4g}" if self.max_abs else None),
                ("outputs, LSB", f"{self.max_abs_lsb:g}" if self.max_abs_lsb else None),
                (
                    "first divergence",
                    f"layer {first.index} {first.op} `{first.name}`" if first else None,
                ),
            ]
        )
        head = ("layer", "op", "name", "max LSB", "max abs", "mean abs", "SQNR dB")
        table = columns(
            (*head, "differing", "introduced", "inherited"),
            (
                (
                    x.index,
                    x.op,
                    short(x.name),
                    x.max_lsb,
                    x.max_abs,
                    x.mean_abs,
                    x.sqnr_db,
                    x.mismatched,
                    x.introduced,
                    x.inherited,
                )
                for x in self.layers
            ),
            left=(1, 2),
        )
        tail = [f"only in A: {', '.join(self.only_in_a)}"] if self.only_in_a else []
        tail += [f"only in B: {', '.join(self.only_in_b)}"] if self.only_in_b else []
        notes = [f"note: {note}" for note in self.notes]
        return [*self._explanation(), summary, "", table, *tail, *notes]

    def _explanation(self) -> list[RenderableType]:
        lines: list[RenderableType] = []
        by_rule: dict[str, list[Cause]] = {}
        for cause in self.causes:
            by_rule.setdefault(cause.rule, []).append(cause)
        for cause, *others in list(by_rule.values())[:SHOWN_CAUSES]:
            place = (
                "the inputs"
                if cause.index < 0
                else f"layer {cause.index} {cause.op} `{cause.name}`"
            )
            also = ", ".join(dict.fromkeys(str(c.index) for c in others if c.index != cause.index))
            lines += [f"cause[{cause.rule}]: {_with_short_names(cause.message)}"]
            lines.append(
                f"  --> {_with_short_names(place)}{f', and layers {also}' if also else ''}"
            )
            if cause.evidence:
                lines.append(f"   = found: {_with_short_names(cause.evidence)}")
            lines.append(f"   = hint: {cause.hint}")
            if cause.repair:
                lines.append(f"   = repair: `{cause.repair}` (thimble repair, or --fix FILE)")
            lines.append("")
        if len(by_rule) > SHOWN_CAUSES:
            lines += [f"and {len(by_rule) - SHOWN_CAUSES} more rules (--json has all)", ""]
        return lines


def _with_short_names(text: str) -> str:
    """`text` with the long tensor names in it cut as the table cuts them."""
    return re.sub("`([^`]+)`", lambda name: f"`{short(name[1])}`", text)
