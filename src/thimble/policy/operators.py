"""Rules on ops: which have kernels, which are allowed, in which version."""

from __future__ import annotations

from collections.abc import Iterator

from thimble.invariants import called_graphs
from thimble.ops.contract import OpaqueOp
from thimble.policy import tflm
from thimble.policy.contract import Rule, Settings, Subject, Violation


def _supported(subject: Subject, settings: Settings) -> Iterator[Violation]:
    source = f"{subject.model.source}, "
    for finding in subject.unsupported:
        yield finding.where.removeprefix(source).removeprefix(subject.model.source), finding.message


def _tflm(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        found = tflm.refusal(view)
        if found:
            yield place, found


def _allowed(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        if view.op.name in settings.denied:
            yield place, f"{view.op.name} is denied"
        elif settings.allowed and view.op.name not in settings.allowed:
            yield place, f"{view.op.name} is not among the allowed ops"


def _versions(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        most = settings.versions.get(view.op.name)
        if most is not None and view.node.version > most:
            yield place, f"version {view.node.version} is over {most}"


def _custom(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        if isinstance(view.op, OpaqueOp) and view.op.is_custom:
            yield place, f"{view.op.name} is a custom op"


def _control_flow(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        if called := called_graphs(view.node):
            yield place, f"calls subgraph {', '.join(str(g) for g in called)}"


RULES = (
    Rule(
        "supported-ops",
        "every layer has a kernel of Thimble",
        "error",
        _supported,
        "see docs/ops.md, or `thimble ops MODEL`",
    ),
    Rule(
        "tflm-ops",
        "TensorFlow Lite Micro has a kernel for every layer",
        "off",
        _tflm,
        "on with `--runtime tflm`; keep the model within what TFLM's resolver knows",
    ),
    Rule(
        "allowed-ops",
        "every op is among the allowed ones and not among the denied",
        "error",
        _allowed,
        needs="ops.allowed or ops.denied",
    ),
    Rule(
        "op-versions",
        "no op has a newer version than the policy allows",
        "error",
        _versions,
        "convert for the older runtime, or without the option that asks for the newer version",
        needs="ops.versions",
    ),
    Rule("no-custom-ops", "there are no custom ops", "off", _custom),
    Rule("no-control-flow", "no layer calls a subgraph", "off", _control_flow),
)
