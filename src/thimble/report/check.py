"""What `thimble check` found, and how it is told: text, JSON, GitHub annotations, JUnit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import Report, bytes_figure, columns, facts

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

SHOWN_PER_RULE = 8  # findings of one rule in the text; JSON has all
SHOWN_CHANGES = 200


@dataclass(frozen=True)
class ModelChange:
    """One difference from the base or the lock. `layer` is of the model, `base_layer` of the
    base.
    """

    rule: str
    where: str
    message: str
    layer: int | None
    base_layer: int | None
    subgraph: int = 0
    severity: str = "error"  # off where the policy does not mind
    against: str = ""  # the file of the base or the lock


@dataclass(frozen=True)
class CheckReport(Report):
    """Findings of all rules, with the figures that they were judged by."""

    findings: Sequence[Mapping[str, str]]
    model: str
    policy: str = "the default policy"
    target: str | None = None
    runtime: str = "thimble"
    rules: Sequence[str] = ()
    like: str | None = None
    same_function: bool | None = None
    function: str = ""
    lock: str | None = None
    changes: Sequence[ModelChange] = ()
    layers: int | None = None
    macs: int | None = None
    arena_bytes: int | None = None
    weights_bytes: int | None = None
    file_bytes: int | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """Findings of severity error: `thimble check` ends with status 1 where there is one."""
        return sum(f["severity"] == "error" for f in self.findings)

    @property
    def warnings(self) -> int:
        return sum(f["severity"] == "warning" for f in self.findings)

    def render(self) -> Sequence[RenderableType]:
        same = {True: "yes", False: "no", None: "not known"}[self.same_function]
        checked = f"{len(self.rules)} rules, {self.policy}" if self.rules else None
        parts: list[RenderableType] = [
            facts(
                [
                    ("model", self.model),
                    ("checked", checked),
                    ("like", self.like),
                    ("same function", f"{same}: {self.function}" if self.like else None),
                    ("lock", self.lock),
                    ("file", bytes_figure(self.file_bytes)),
                    ("arena", bytes_figure(self.arena_bytes)),
                    ("constants", bytes_figure(self.weights_bytes)),
                    ("MACs", f"{self.macs:,}" if self.macs is not None else None),
                ]
            ),
            "",
        ]
        for other in (self.like, self.lock):
            changes = [c for c in self.changes if c.against == other]
            if changes:
                parts += [f"changes since {other}, in the order of the layers", ""]
                parts += [_table(changes), ""]
            elif other is not None:
                parts += [f"no changes since {other}", ""]
        parts += self._told()
        return [*parts, self.summary()]

    def _told(self) -> list[str]:
        """Findings under their rule, errors first, the hint once; changes have their table."""
        kinds = {(c.rule, c.message) for c in self.changes}
        groups: dict[tuple[str, str], list[Mapping[str, str]]] = {}
        for finding in self.findings:
            if (finding["rule"], finding["message"]) not in kinds:
                groups.setdefault((finding["severity"], finding["rule"]), []).append(finding)
        lines = []
        for (severity, rule), found in sorted(groups.items(), key=lambda item: item[0][0]):
            for finding in found[:SHOWN_PER_RULE]:
                lines.append(f"{severity}[{rule}]: {finding['message']}")
                lines.append(f"  --> {finding['where']}")
            if len(found) > SHOWN_PER_RULE:
                lines.append(f"  ... and {len(found) - SHOWN_PER_RULE} more of {rule}")
            if found[0]["hint"]:
                lines.append(f"   = hint: {found[0]['hint']}")
            lines.append("")
        return lines

    def summary(self) -> str:
        """1 error, 2 warnings"""
        if not self.findings:
            return "no findings"
        counts = ((self.errors, "error"), (self.warnings, "warning"))
        told = [f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n]
        return ", ".join(told)


def _table(changes: Sequence[ModelChange]) -> Table:
    """One row a change, layer by layer: + new, - gone, ~ changed."""

    def position(change: ModelChange) -> tuple[int, int]:
        layers = [n for n in (change.layer, change.base_layer) if n is not None]
        return change.subgraph, layers[0] if layers else -1

    marks = {"added-layer": "+", "removed-layer": "-"}
    ordered = sorted(changes, key=position)
    rows = [
        (marks.get(c.rule, "~"), c.severity, c.rule, c.where, c.message)
        for c in ordered[:SHOWN_CHANGES]
    ]
    if len(ordered) > SHOWN_CHANGES:
        more = f"... and {len(ordered) - SHOWN_CHANGES} more (--json has all)"
        rows.append(("", "", "", "", more))
    return columns(("", "severity", "rule", "where", "change"), rows, left=(0, 1, 2, 3, 4))
