"""What a rule is: a sentence that is true of every good model, and what finds where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from thimble.errors import Finding, ThimbleError
from thimble.graph import Graph, Model, Tensor
from thimble.invariants import layer_place, tensor_place
from thimble.ops.contract import NodeView, OpaqueOp

if TYPE_CHECKING:
    from thimble.memory import Memory
    from thimble.program import Program
    from thimble.targets import Target

SEVERITIES = ("off", "warning", "error")
Violation = tuple[str, str]  # where in the model, what was found


@dataclass(frozen=True)
class PortRule:
    """What an input or output is to be; None: anything."""

    name: str | None = None
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Settings:
    """The figures that rules ask for. None or empty: the rule has nothing to check."""

    ram: int | None = None
    flash: int | None = None
    file: int | None = None
    macs: int | None = None
    layers: int | None = None
    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    versions: Mapping[str, int] = field(default_factory=dict)
    inputs: tuple[PortRule, ...] | None = None
    outputs: tuple[PortRule, ...] | None = None
    scale_tolerance: float = 0.01  # --like: what a scale may move by, relative
    bias_scale_tolerance: float = 0.01  # |bias scale / (input x weight scale) - 1|
    smallest_scale: float = 1e-20
    largest_scale: float = 1e6


class Subject:
    """A model under check, and what several rules want to know of it, computed once."""

    def __init__(self, model: Model, content: bytes | None = None, target: Target | None = None):
        self.model = model
        self.content = content
        self.target = target

    @property
    def graph(self) -> Graph:
        return self.model.graph

    def graphs(self) -> Iterator[tuple[str, Graph]]:
        """Every subgraph with how its places begin: "" of the main one, else "subgraph 1, "."""
        for i, graph in enumerate(self.model.graphs):
            yield (f"subgraph {i}, " if i else ""), graph

    @cached_property
    def layers(self) -> tuple[tuple[str, NodeView], ...]:
        """Every layer of every subgraph with its place."""
        return tuple(
            (prefix + layer_place(graph, i), NodeView(graph, i))
            for prefix, graph in self.graphs()
            for i in range(len(graph.nodes))
        )

    @cached_property
    def runnable(self) -> Model:
        """The model with static shapes and unfolded weights, as the other verbs run it."""
        from thimble.support import runnable

        return runnable(self.model)

    @cached_property
    def unsupported(self) -> list[Finding]:
        """Why Thimble has no kernels for it; empty where it has."""
        from thimble.lower import unsupported

        try:
            return unsupported(self.runnable)
        except ThimbleError as error:
            return list(error.findings)

    @cached_property
    def planned(self) -> tuple[Program, Memory] | None:
        """Program and planned arena, as `thimble build` has them; None where unsupported."""
        from thimble.arch import ARCHS
        from thimble.lower import lower
        from thimble.memory import place_without_copies
        from thimble.passes import run_passes

        if self.unsupported:
            return None
        arch = self.target.arch if self.target and self.target.arch in ARCHS else "scalar"
        try:
            return place_without_copies(lower(run_passes(self.runnable), "model", arch))
        except ThimbleError:  # a pass or the planner refuses what the limits let through
            return None

    @property
    def arena_bytes(self) -> int | None:
        """State and all working memory but the stack."""
        return None if self.planned is None else self.planned[1].arena_bytes

    @property
    def weights_bytes(self) -> int | None:
        """All constants of the emitted C."""
        if self.planned is None:
            return None
        return sum(b.bytes for b in self.planned[0].buffers if b.role == "const")

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference of the main graph, of the ops that are known."""
        return sum(layer_macs(NodeView(self.graph, i)) for i in range(len(self.graph.nodes)))

    @property
    def file_bytes(self) -> int | None:
        return None if self.content is None else len(self.content)


def layer_macs(view: NodeView) -> int:
    """MACs of a layer; 0 of one whose op or shapes Thimble does not know."""
    if isinstance(view.op, OpaqueOp):
        return 0
    try:
        return view.op.macs(view)
    except (IndexError, ValueError, ZeroDivisionError):  # shapes that the op's limits refuse
        return 0


def is_integer(tensor: Tensor) -> bool:
    """int8, uint8, int16 ... but not bool."""
    return tensor.dtype.lstrip("u").startswith("int")


def is_float(tensor: Tensor) -> bool:
    """float32, float16, bfloat16, float64."""
    return tensor.dtype.startswith(("float", "bfloat"))


def place_of(prefix: str, graph: Graph, index: int) -> str:
    """tensor 3 `conv/bias`, with the subgraph where it is not the main one."""
    return prefix + tensor_place(graph, index)


Check = Callable[[Subject, Settings], Iterator[Violation]]


@dataclass(frozen=True)
class Rule:
    """A sentence, what finds its violations, its severity unless a policy says another.

    `needs`: the key of the policy without which the rule has nothing to check.
    """

    name: str
    sentence: str
    severity: str
    violations: Check
    hint: str = ""
    needs: str = ""

    def check(self, subject: Subject, settings: Settings, severity: str) -> Iterator[Finding]:
        """A finding for every violation."""
        for place, found in self.violations(subject, settings):
            where = f"{subject.model.source}, {place}" if place else subject.model.source
            yield Finding(self.name, where, f"{found}; {self.sentence}", self.hint, severity)
