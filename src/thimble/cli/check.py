"""thimble check"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from thimble.cli.screen import Bytes, Screen, verb

FORMATS = ("text", "json", "github", "junit")
RUNTIMES = ("thimble", "tflm", "both", "none")


@verb("thimble check model.tflite --ram 64k", "check", html=True)
@click.argument("model", metavar="MODEL", required=False)
@click.option("--like", metavar="BASE", help="Name what changed since this model, layer by layer.")
@click.option("--lock", metavar="LOCK", help="Name what changed since this lock was written.")
@click.option("--policy", metavar="P.toml", help="Rules, severities and figures (docs/check.md).")
@click.option("--target", help="A core: the arena is that of its kernels.")
@click.option("--runtime", type=click.Choice(RUNTIMES), help="Whose kernels there must be.")
@click.option("--ram", type=Bytes(), help="What arena and state may take.")
@click.option("--flash", type=Bytes(), help="What the constants may take.")
@click.option("--macs", type=click.IntRange(0), help="What one inference may take.", metavar="N")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="NAME=SEVERITY",
    help="off, warning or error for one rule; may be given several times.",
)
@click.option(
    "--scale-tolerance",
    type=click.FloatRange(0),
    metavar="PERCENT",
    help="What a scale may move by: 1 % of the base's, 0 of a lock's unless given.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Of stdout.",
)
@click.option("--write-rules", metavar="FILE", help="Write the table of all rules into FILE.")
def command(
    screen: Screen,
    model: str | None,
    like: str | None,
    lock: str | None,
    policy: str | None,
    target: str | None,
    runtime: str | None,
    ram: int | None,
    flash: int | None,
    macs: int | None,
    rules: Sequence[str],
    scale_tolerance: float | None,
    form: str,
    write_rules: str | None,
) -> int:
    """Whether MODEL keeps the rules of a policy, and what changed since a base or a lock.

    Exit status 1 when a finding is an error.
    """
    from thimble.errors import BadInput, ThimbleError
    from thimble.policy.verdict import check
    from thimble.report.check import CheckReport

    if write_rules is not None:
        _write_rules(screen, write_rules)
        return 0
    if model is None:
        raise click.UsageError("Missing argument 'MODEL'.")
    form = "json" if screen.as_json else form
    try:
        report = check(
            model,
            like=like,
            lock=lock,
            policy=policy,
            target=target,
            runtime=runtime,
            ram=ram,
            flash=flash,
            macs=macs,
            rules=_severities(rules),
            scale_tolerance=None if scale_tolerance is None else scale_tolerance / 100,
        )
    except ThimbleError as error:
        if form == "text":
            raise
        findings = [finding.as_dict() for finding in error.findings]
        _show(screen, CheckReport(findings, os.path.basename(model)), model, form)
        return 2 if isinstance(error, BadInput) else 1
    _show(screen, report, model, form)
    return 1 if report.errors else 0


def _show(screen: Screen, report: Any, path: str, form: str) -> None:
    from thimble.report.annotations import github, junit

    if form in ("github", "junit", "json"):
        screen.write_page(report)
    if form == "github":
        click.echo(github(report, path), nl=False)
    elif form == "junit":
        click.echo(junit(report, path), nl=False)
    elif form == "json":
        click.echo(report.to_json())
    else:
        screen.show(report)


def _severities(rules: Sequence[str]) -> dict[str, str]:
    found = {}
    for rule in rules:
        name, equals, severity = rule.partition("=")
        if not equals:
            raise click.UsageError(f"--rule {rule}: write NAME=off, NAME=warning or NAME=error")
        found[name.strip()] = severity.strip()
    return found


def _write_rules(screen: Screen, path: str) -> None:
    from pathlib import Path

    from thimble.output import write_file
    from thimble.policy.registry import with_rules

    file = Path(path)
    write_file(path, with_rules(file.read_text() if file.exists() else ""))
    screen.say(f"wrote {path}")
