"""The forms that build servers read, also for models with hostile names and for no model at all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from structure.edited import CONV, output_of, tiny, with_tensor

import thimble
from thimble.cli import execute
from thimble.report import CheckReport
from thimble.report.annotations import github, junit

ODD = "a,b:c%d\r\ne::error file=x::\x00\x1b[31m<&\"']]>\ud7ff\U0001f600"


def odd_report() -> CheckReport:
    finding = {
        "rule": "an,odd:rule",
        "severity": "error",
        "where": ODD,
        "message": ODD,
        "hint": ODD,
    }
    return CheckReport([finding, finding | {"severity": "warning"}], "model.tflite")


def unescaped(text: str) -> str:
    """What GitHub's runner makes of an escaped message or property."""
    for code, c in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, c)
    return text


def test_github_lines_are_commands_whose_text_comes_back() -> None:
    lines = github(odd_report(), "dir,x:y/model.tflite").split("\n")
    assert lines[-1] == ""
    assert len(lines) == 3
    for line, severity in zip(lines, ("error", "warning")):
        found = re.fullmatch(r"::(\w+) file=([^,:]*),title=([^,:]*)::(.*)", line)
        assert found is not None
        assert found[1] == severity
        assert unescaped(found[2]) == "dir,x:y/model.tflite"
        assert unescaped(found[3]) == "an,odd:rule"
        assert unescaped(found[4]) == f"{ODD}: {ODD} (hint: {ODD})"
    assert github(CheckReport([], "m"), "m.tflite").startswith("::notice file=m.tflite,")


def check_junit(text: str) -> ElementTree.Element:
    """The shape that build servers expect (the schema of Jenkins' xUnit plugin)."""
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "time"} <= set(suite.attrib)
        assert int(suite.attrib["tests"]) == len(suite)
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        for case in suite:
            assert case.tag == "testcase"
            assert {"classname", "name", "time"} <= set(case.attrib)
            assert [child.tag for child in case] in (
                [],
                ["failure"],
                ["system-out"],
                ["failure", "system-out"],
            )
            for failure in case.findall("failure"):
                assert failure.attrib["message"]
                assert failure.attrib["type"] == case.attrib["name"]
    return root


def test_junit_is_xml_whatever_the_names() -> None:
    root = check_junit(junit(odd_report(), ODD))
    assert root.attrib["failures"] == "1"
    [failure] = root.iter("failure")
    assert "]]>" in (failure.text or "")


def test_a_case_for_every_rule_that_was_checked() -> None:
    report = thimble.check(tiny(), like=tiny(), rules={"fully-integer": "error"})
    root = check_junit(junit(report, "model.tflite"))
    assert [case.attrib["name"] for case in root.iter("testcase")] == list(report.rules)
    assert {"fully-integer", "changed-op"} <= set(report.rules)
    assert "changed-golden" not in report.rules  # nothing that a base has


@pytest.mark.parametrize("form", ["text", "json", "github", "junit"])
@pytest.mark.parametrize("content", [None, b"", b"junk", b"\x20\0\0\0TFL3" + bytes(40)])
def test_no_model_is_a_finding_in_every_form(
    form: str,
    content: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("model.tflite").write_bytes(content)
    status = execute(["check", "model.tflite", "--format", form])
    assert status == (2 if content is None else 1)
    output = capsys.readouterr()
    assert "internal error" not in output.err
    if form == "text":
        assert "error[" in output.err
    elif form == "json":
        assert json.loads(output.out)["findings"]
    elif form == "github":
        assert output.out.startswith("::error file=model.tflite,")
    else:
        assert check_junit(output.out).attrib["failures"] == "1"


def test_json_is_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with_tensor(tiny(), output_of(tiny().graph, CONV), name=ODD.replace("\x00", "")).save(
        "m.tflite"
    )
    assert execute(["check", "m.tflite", "--json"]) == 0
    first = capsys.readouterr().out
    assert execute(["check", "m.tflite", "--format", "json"]) == 0
    assert capsys.readouterr().out == first
    fields = ["findings", "model", "policy", "rules", "changes", "arena_bytes", "weights_bytes"]
    assert set(fields) <= set(json.loads(first))
    assert execute(["check"]) == 2
