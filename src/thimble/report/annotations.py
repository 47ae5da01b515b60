"""A check in the forms that build servers read: GitHub workflow commands and JUnit XML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from thimble.report.check import CheckReport

FORMATS = ("text", "json", "github", "junit")


def github(report: CheckReport, path: str) -> str:
    """One `::error file=...,title=...::message` or `::warning` a finding; a `::notice` where there
    is none. Text is escaped as GitHub's runner reads it.
    """
    lines = []
    for f in report.findings:
        hint = f" (hint: {f['hint']})" if f["hint"] else ""
        lines.append(
            f"::{f['severity']} file={_property(path)},title={_property(f['rule'])}::"
            + _data(f"{f['where']}: {f['message']}{hint}")
        )
    if not lines:
        lines.append(f"::notice file={_property(path)},title=thimble check::no findings")
    return "\n".join(lines) + "\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit(report: CheckReport, path: str) -> str:
    """JUnit XML: a test case for every rule, which fails where it has an error; warnings are in
    its output.
    """
    found: dict[str, list[Mapping[str, str]]] = {rule: [] for rule in report.rules}
    for finding in report.findings:
        found.setdefault(finding["rule"], []).append(finding)
    failed = sum(any(f["severity"] == "error" for f in group) for group in found.values())
    counts = {"tests": str(len(found)), "failures": str(failed), "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": "thimble check", **counts})
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": _xml(path), **counts, "skipped": "0", "time": "0"}
    )
    for rule, group in found.items():
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": _xml(report.model), "name": _xml(rule), "time": "0"}
        )
        errors = [f for f in group if f["severity"] == "error"]
        warnings = [f for f in group if f["severity"] == "warning"]
        if errors:
            first = f"{errors[0]['message']}" + (
                f" and {len(errors) - 1} more" if len(errors) > 1 else ""
            )
            failure = ElementTree.SubElement(
                case, "failure", {"message": _xml(first), "type": _xml(rule)}
            )
            failure.text = _xml(_lines(errors))
        if warnings:
            ElementTree.SubElement(case, "system-out").text = _xml(_lines(warnings))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _lines(findings: Iterable[Mapping[str, str]]) -> str:
    lines = []
    for f in findings:
        lines.append(f"{f['severity']}: {f['where']}: {f['message']}")
        if f["hint"]:
            lines.append(f"  hint: {f['hint']}")
    return "\n".join(lines)


def _xml(text: str) -> str:
    """`text` without what XML 1.0 cannot hold."""
    return "".join(c if _is_xml(ord(c)) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _is_xml(code: int) -> bool:
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or 0x10000 <= code <= 0x10FFFF
    )
