"""`thimble check`: rules on a model, changes against a base, and what a lock says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from thimble.errors import BadInput, Finding
from thimble.formats import load_model
from thimble.graph import Model
from thimble.policy.contract import Rule, Subject
from thimble.policy.file import Policy, parse_policy, read_policy
from thimble.policy.registry import RULES
from thimble.report.check import CheckReport, ModelChange
from thimble.structure.changes import model_changes
from thimble.structure.facts import model_facts
from thimble.structure.function import Verdict, same_function
from thimble.structure.kinds import KINDS, Change
from thimble.targets import load_target

MAX_FINDINGS = 100  # of one rule
MAX_TEXT = 1000  # characters of a message or place

FIGURES = {
    "arena_bytes": "planned (exact) and checked by an independent validator",
    "weights_bytes": "sum of the constants in the emitted C",
    "macs": "counted from the shapes",
    "like": "layers matched by constants, shapes, names and order",
    "same_function": "passes on both graphs, then the reference runner on seeded samples",
}


def check(
    model: Any,
    *,
    like: Any = None,
    lock: str | os.PathLike[str] | None = None,
    policy: str | os.PathLike[str] | Mapping[str, Any] | Policy | None = None,
    target: str | None = None,
    runtime: str | None = None,
    ram: int | None = None,
    flash: int | None = None,
    macs: int | None = None,
    rules: Mapping[str, str] | None = None,
    scale_tolerance: float | None = None,
) -> CheckReport:
    """Every rule on `model` (a path or a `Model`), its changes from `like`, and the lock.

    Options go before what the policy says. Raises BadInput for files that are not there and wrong
    options, and what the reader raises where `model` or `like` cannot be read.
    """
    budgets = {"ram": ram, "flash": flash, "macs": macs}
    options: dict[str, Any] = {
        "rules": dict(rules or {}),
        "budgets": {name: limit for name, limit in budgets.items() if limit is not None},
    }
    options |= {k: v for k, v in (("target", target), ("runtime", runtime)) if v is not None}
    if scale_tolerance is not None:
        options["limits"] = {"scale-tolerance": scale_tolerance}
    chosen = _over(_policy(policy), options)
    loaded = load_model(model)
    content = None if isinstance(model, Model) else Path(model).read_bytes()
    core = load_target(chosen.target) if chosen.target is not None else None
    subject = Subject(loaded, content, core)
    findings = list(chosen.findings)
    checked = []
    for name, rule in RULES.items():
        severity = chosen.severity(name)
        if severity != "off":
            findings += _of_rule(rule, subject, chosen, severity)
            checked.append(name)
    changes: list[ModelChange] = []
    verdict = Verdict(None, "")
    base = locked = None
    if like is not None:
        base = load_model(like)
        found, verdict = _since_base(base, loaded, chosen)
        findings += change_findings(found, f"{loaded.source} against {base.source}", chosen, "like")
        changes += _told(found, base.source, chosen, "like")
        checked += _kinds(chosen, "like")
    if lock is not None:
        from thimble.lock import verify

        locked = os.path.basename(os.fspath(lock))
        plain = subject if core is None else Subject(loaded, content)  # a lock knows no target
        found = verify(plain, lock, scale_tolerance or 0.0)
        findings += change_findings(found, f"{loaded.source} against {locked}", chosen, "lock")
        changes += _told(found, locked, chosen, "lock")
        checked += _kinds(chosen, "lock")
    return CheckReport(
        findings=[tidy(finding).as_dict() for finding in findings],
        model=loaded.source,
        policy=chosen.source,
        target=chosen.target,
        runtime=chosen.runtime,
        rules=list(dict.fromkeys(checked)),
        like=None if base is None else base.source,
        same_function=verdict.same,
        function=verdict.words,
        lock=locked,
        changes=changes,
        layers=sum(len(graph.nodes) for graph in loaded.graphs),
        macs=subject.macs,
        arena_bytes=subject.arena_bytes,
        weights_bytes=subject.weights_bytes,
        file_bytes=subject.file_bytes,
        provenance=FIGURES,
    )


def _since_base(base: Model, new: Model, policy: Policy) -> tuple[list[Change], Verdict]:
    """Every change, and whether it is the same function all the same."""
    tolerance = policy.settings.scale_tolerance
    found = model_changes(model_facts(base), model_facts(new), tolerance)
    verdict = same_function(base, new)
    if verdict.same is not True:
        found.append(Change("same-function", "", verdict.words))
    return found, verdict


def _told(changes: list[Change], against: str, policy: Policy, how: str) -> list[ModelChange]:
    """Changes as the report has them, `same-function` apart, which the head of it tells."""
    return [
        ModelChange(
            c.kind,
            c.where,
            c.message,
            c.layer,
            c.base_layer,
            c.subgraph,
            _severity(policy, c.kind, how),
            against,
        )
        for c in changes
        if c.kind != "same-function"
    ]


def _kinds(policy: Policy, against: str) -> list[str]:
    """The kinds of change that are not off."""
    return [name for name in KINDS if _severity(policy, name, against) != "off"]


def _severity(policy: Policy, kind: str, against: str) -> str:
    default = KINDS[kind].like if against == "like" else KINDS[kind].lock
    return policy.severities.get(kind, default)


def tidy(finding: Finding) -> Finding:
    """A finding without control characters and of bounded length: names come from the file."""
    where, message = (
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:MAX_TEXT])
        for text in (finding.where, finding.message)
    )
    return replace(finding, where=where, message=message)


def _policy(given: Any) -> Policy:
    if given is None:
        return Policy()
    if isinstance(given, Policy):
        return given
    if isinstance(given, Mapping):
        return parse_policy(given)
    return read_policy(given)


def _over(policy: Policy, options: Mapping[str, Any]) -> Policy:
    """`policy` with options of the call, which are wrong usage where they are wrong."""
    asked = parse_policy(options, "options")
    if asked.findings:
        raise BadInput(asked.findings)
    figures = {name: getattr(asked.settings, name) for name in options["budgets"]}
    if "limits" in options:
        figures["scale_tolerance"] = asked.settings.scale_tolerance
    return replace(
        policy,
        severities={**policy.severities, **asked.severities},
        settings=replace(policy.settings, **figures),
        target=asked.target or policy.target,
        runtime=asked.runtime if "runtime" in options else policy.runtime,
    )


def _of_rule(rule: Rule, subject: Subject, policy: Policy, severity: str) -> list[Finding]:
    """The findings of one rule, the last of which counts those beyond the first hundred."""
    found = rule.check(subject, policy.settings, severity)
    kept = list(islice(found, MAX_FINDINGS))
    more = sum(1 for _ in found)
    if more:
        message = f"and {more} more; {rule.sentence}"
        kept.append(Finding(rule.name, subject.model.source, message, rule.hint, severity))
    return kept


def change_findings(
    changes: list[Change], where: str, policy: Policy, against: str
) -> list[Finding]:
    """Changes as findings of the severity that the policy, else the kind, gives them."""
    findings = []
    counts: dict[str, int] = {}
    for change in changes:
        kind = KINDS[change.kind]
        severity = _severity(policy, change.kind, against)
        counts[change.kind] = counts.get(change.kind, 0) + 1
        if severity == "off" or counts[change.kind] > MAX_FINDINGS:
            continue
        place = f"{where}, {change.where}" if change.where else where
        findings.append(Finding(change.kind, place, change.message, kind.hint, severity))
    return findings
