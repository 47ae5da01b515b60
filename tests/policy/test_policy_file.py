"""Policies: what they choose, and that a wrong key is a finding and not a silence."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structure.edited import tiny

import thimble
from thimble.cli import execute
from thimble.policy.file import Policy, parse_policy, size
from thimble.policy.registry import NAMES

ROOT = Path(__file__).parents[2]

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "a key": ({"rule": {}}, "policy, rule", "did you mean `rules`?"),
    "a rule": ({"rules": {"fully-integr": "error"}}, "rules.fully-integr", "`fully-integer`"),
    "a severity": ({"rules": {"int64": "fatal"}}, "rules.int64", "off, warning, error"),
    "a severity's type": ({"rules": {"int64": 1}}, "rules.int64", "off, warning, error"),
    "a table": ({"rules": 3}, "policy, rules", "write [rules]"),
    "a budget": ({"budgets": {"rom": 3}}, "budgets.rom", "`ram`"),
    "an amount": ({"budgets": {"ram": "many"}}, "budgets.ram", "64k"),
    "a negative amount": ({"budgets": {"ram": -1}}, "budgets.ram", "64k"),
    "a truth for an amount": ({"budgets": {"ram": True}}, "budgets.ram", "64k"),
    "a limit": ({"limits": {"scale-tolerence": 1}}, "limits.scale-tolerence", "scale-tolerance"),
    "a limit's value": ({"limits": {"scale-tolerance": "1 %"}}, "limits.scale-tolerance", "0.01"),
    "a target": ({"target": "z80"}, "policy, target", "cortex-m4"),
    "a runtime": ({"runtime": "onnx"}, "policy, runtime", "tflm"),
    "ops": ({"ops": {"allow": ["ADD"]}}, "ops.allow", "allowed"),
    "a list of ops": ({"ops": {"allowed": "ADD"}}, "ops.allowed", "CONV_2D"),
    "an op version": ({"ops": {"versions": {"ADD": 0}}}, "ops.versions.ADD", "number from 1"),
    "an input": ({"inputs": [{"type": "int8"}]}, "inputs 0, type", "`dtype`"),
    "an input's shape": ({"inputs": [{"shape": "1x4"}]}, "inputs 0, shape", "list of numbers"),
    "inputs": ({"inputs": {"dtype": "int8"}}, "policy, inputs", "[[inputs]]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_policy_is_a_finding(name: str) -> None:
    given, where, hint = WRONG[name]
    [finding] = parse_policy(given).findings
    assert finding.rule == "policy"
    assert where in finding.where
    assert hint in finding.hint
    report = thimble.check(tiny(), policy=given)
    assert report.errors == 1


def test_the_rest_of_a_wrong_policy_counts() -> None:
    given = {"rules": {"no-such-rule": "error", "fully-integer": "error"}, "runtime": "both"}
    policy = parse_policy(given)
    assert len(policy.findings) == 1
    assert policy.severity("fully-integer") == "error"
    assert policy.severity("tflm-ops") == "error"
    assert policy.severity("supported-ops") == "error"


def test_defaults_and_runtimes() -> None:
    assert Policy().severity("fully-integer") == "off"
    assert Policy().severity("dynamic-shapes") == "warning"
    runtimes = {
        name: (
            parse_policy({"runtime": name}).severity("supported-ops"),
            parse_policy({"runtime": name}).severity("tflm-ops"),
        )
        for name in ("thimble", "tflm", "both", "none")
    }
    assert runtimes == {
        "thimble": ("error", "off"),
        "tflm": ("off", "error"),
        "both": ("error", "error"),
        "none": ("off", "off"),
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (65536, 65536),
        ("64k", 65536),
        ("64 KiB", 65536),
        ("1.5M", 1572864),
        ("7b", 7),
        ("", None),
        ("k", None),
        (-1, None),
        (2.5, None),
        (None, None),
        ("1e400", None),
        ("nan", None),
    ],
)
def test_sizes(given: Any, expected: int | None) -> None:
    assert size(given) == expected


def test_the_policy_of_the_docs_is_a_policy() -> None:
    text = (ROOT / "docs" / "check.md").read_text()
    [block] = [part.split("```")[0] for part in text.split("```toml title=policy.toml\n")[1:]]
    policy = parse_policy(tomllib.loads(block))
    assert policy.findings == ()
    assert policy.severities
    assert policy.settings.ram


def test_a_policy_file_and_options_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny().save("model.tflite")
    Path("policy.toml").write_text('[budgets]\nram = 100\n[rules]\nfully-integer = "error"\n')
    command = ["check", "model.tflite", "--policy", "policy.toml", "--json"]
    assert execute(command) == 1
    report = json.loads(capsys.readouterr().out)
    assert [f["rule"] for f in report["findings"]] == ["ram-budget"]
    assert "fully-integer" in report["rules"]
    assert report["policy"] == "policy.toml"
    assert execute([*command, "--ram", "64k"]) == 0
    assert execute([*command, "--rule", "ram-budget=warning"]) == 0
    capsys.readouterr()
    assert execute([*command[:-1], "--rule", "ram-budget"]) == 2
    assert "NAME=off" in capsys.readouterr().err
    assert execute([*command[:-1], "--rule", "ram=error"]) == 2
    assert execute(["check", "model.tflite", "--policy", "none.toml"]) == 2
    Path("policy.toml").write_text("[[[")
    capsys.readouterr()
    assert execute(command) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["rule"] == "policy"
    Path("policy.toml").write_bytes(b"\xff\xfe")
    assert execute(command) == 1
    Path("policy.toml").write_text("x = " + "[" * 5000)
    assert execute(command) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
keys = st.sampled_from(
    ["target", "runtime", "rules", "budgets", "limits", "ops", "inputs", "outputs", "else"]
)
inner_keys = st.sampled_from(["ram", "allowed", "versions", "shape", "scale-tolerance", *NAMES])


@given(st.dictionaries(keys, values | st.dictionaries(inner_keys, values)))
@settings(max_examples=200, deadline=None)
def test_any_policy_is_read(given: dict[str, Any]) -> None:
    policy = parse_policy(given)
    assert all(finding.rule == "policy" for finding in policy.findings)
