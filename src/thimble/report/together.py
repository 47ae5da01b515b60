"""What `thimble build A B` made: several models in one arena, and what sharing it saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thimble.report.base import bytes_figure, columns, facts
from thimble.report.build import BuildReport

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class TogetherMember:
    """One of the models: what it needs alone. `hop_rows`: of one streamed in time."""

    name: str
    model: str
    arena_bytes: int
    state_bytes: int
    weights_bytes: int
    macs: int
    hop_rows: int | None = None


@dataclass(frozen=True)
class TogetherReport(BuildReport):
    """`ram.arena_bytes` is shared by all `models`; `separate_bytes` is what they need apart."""

    models: Sequence[TogetherMember] = ()
    separate_bytes: int = 0
    saved_bytes: int = 0

    def render(self) -> Sequence[RenderableType]:
        summary, _, _, *notes = super().render()
        shared = facts(
            [
                ("apart", bytes_figure(self.separate_bytes)),
                ("saved by sharing", bytes_figure(self.saved_bytes)),
            ]
        )
        table = columns(
            ("model", "arena", "state", "weights", "MACs", "rows per hop"),
            (
                (m.name, m.arena_bytes, m.state_bytes, m.weights_bytes, m.macs, m.hop_rows or "")
                for m in self.models
            ),
            left=(0,),
        )
        return [summary, shared, "", table, *notes]
