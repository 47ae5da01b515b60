"""Findings: what is wrong with a model, where, and what to do next.

Bad input never ends in a traceback. Code that checks collects `Finding`s and raises them together
as one of the three `ThimbleError`s that a caller treats differently; a bug of ours is an ordinary
exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (or worth knowing): the rule, the place, what was found, the next
    step.
    """

    rule: str  # short kebab-case name of the rule, e.g. "unsupported", "truncated", "does-not-fit"
    where: str  # file, layer index and name: "model.tflite, layer 12 CONV_2D `up1`"
    message: str  # what was found
    hint: str = ""  # the next step
    severity: str = "error"  # "error" | "warning"

    def __str__(self) -> str:
        lines = [f"{self.severity}[{self.rule}]: {self.message}", f"  --> {self.where}"]
        if self.hint:
            lines.append(f"   = hint: {self.hint}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, str]:
        """The JSON form of interface.md: rule, severity, where, message, hint."""
        return asdict(self)


class ThimbleError(Exception):
    """Carries all findings of one check. Exit status 1."""

    def __init__(self, findings: Finding | Iterable[Finding]):
        self.findings: Sequence[Finding] = (
            (findings,) if isinstance(findings, Finding) else tuple(findings)
        )
        super().__init__("\n".join(str(finding) for finding in self.findings))


class InvalidModel(ThimbleError):
    """The file is damaged or breaks a rule of its own format."""


class UnsupportedModel(ThimbleError):
    """The model is valid, but Thimble has no kernel for something in it."""


class DoesNotFit(ThimbleError):
    """The model needs more RAM or flash than the user allows."""


class BadInput(ThimbleError):
    """Data, options, files or tools that do not fit the request. Exit status 2 where it is
    usage.
    """


class ToolMissing(ThimbleError):
    """A compiler, emulator or peer that has to be installed first; the hint names the extra or
    package.
    """
