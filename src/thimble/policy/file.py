"""Policies: a TOML file that chooses rules, severities and figures. See docs/check.md."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thimble.errors import BadInput, Finding
from thimble.graph import ITEM_BITS
from thimble.policy.contract import SEVERITIES, PortRule, Settings
from thimble.policy.registry import NAMES, RULES

MAX_POLICY_BYTES = 1 << 20
RUNTIMES = ("thimble", "tflm", "both", "none")
UNITS = {"k": 1024, "m": 1024**2, "": 1}


@dataclass(frozen=True)
class Policy:
    """Severities by rule where they are not the default, the figures, and what is wrong with the
    file that they come from.
    """

    source: str = "the default policy"
    severities: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    target: str | None = None
    runtime: str = "thimble"
    findings: tuple[Finding, ...] = ()

    def severity(self, rule: str) -> str:
        """off, warning or error of a rule on models."""
        if rule in self.severities:
            return self.severities[rule]
        if rule == "tflm-ops":
            return "error" if self.runtime in ("tflm", "both") else "off"
        if rule == "supported-ops":
            return "error" if self.runtime in ("thimble", "both") else "off"
        return RULES[rule].severity


def read_policy(path: str | os.PathLike[str]) -> Policy:
    """The policy in a TOML file. Raises BadInput where there is no such file; what is wrong in it
    is in `findings`, and the rest of it counts.
    """
    name = os.fspath(path)
    try:
        size = os.path.getsize(name)
        text = Path(name).read_bytes() if size <= MAX_POLICY_BYTES else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(Finding("no-file", name, f"cannot be read: {reason}")) from error
    if size > MAX_POLICY_BYTES:
        raise BadInput(Finding("too-large", name, f"has {size} bytes, too many for a policy"))
    source = os.path.basename(name)
    try:
        return parse_policy(tomllib.loads(text.decode()), source)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        found = Finding("policy", source, f"is no TOML: {error}", "see docs/check.md")
        return Policy(source, findings=(found,))


def parse_policy(given: Mapping[str, Any], source: str = "policy") -> Policy:
    """The policy of a dict as TOML has it."""
    return _Parser(source).policy(given)


class _Parser:
    def __init__(self, source: str):
        self.source = source
        self.findings: list[Finding] = []

    def bad(self, key: str, message: str, hint: str = "see docs/check.md") -> None:
        self.findings.append(Finding("policy", f"{self.source}, {key}", message, hint))

    def unknown(self, key: str, name: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(name, known, 1)
        listed = f"known: {', '.join(sorted(known))}" if len(known) <= 10 else "see docs/check.md"
        hint = f"did you mean `{near[0]}`?" if near else listed
        self.bad(key, "is not a key of policies", hint)

    def policy(self, given: Mapping[str, Any]) -> Policy:
        known: dict[str, Callable[[Any], Any]] = {
            "target": self.target,
            "runtime": self.runtime,
            "rules": self.rules,
            "budgets": self.budgets,
            "limits": self.limits,
            "ops": self.ops,
            "inputs": lambda value: self.ports("inputs", value),
            "outputs": lambda value: self.ports("outputs", value),
        }
        found: dict[str, Any] = {}
        for key, value in given.items():
            if key in known:
                found[key] = known[key](value)
            else:
                self.unknown(key, key, list(known))
        parts = [found.get(name) or {} for name in ("budgets", "limits", "ops")]
        fields = {name: value for part in parts for name, value in part.items()}
        fields |= {side: found[side] for side in ("inputs", "outputs") if side in found}
        return Policy(
            self.source,
            found.get("rules") or {},
            replace(Settings(), **fields),
            found.get("target"),
            found.get("runtime") or "thimble",
            tuple(self.findings),
        )

    def target(self, value: Any) -> str | None:
        from thimble.targets import target_names

        if value not in target_names():
            self.bad("target", f"{value!r} is no target", f"one of {', '.join(target_names())}")
            return None
        return str(value)

    def runtime(self, value: Any) -> str | None:
        if value not in RUNTIMES:
            self.bad("runtime", f"{value!r} is no runtime", f"one of {', '.join(RUNTIMES)}")
            return None
        return str(value)

    def table(self, key: str, value: Any) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        self.bad(key, f"{value!r} is no table", f"write [{key}]")
        return {}

    def rules(self, value: Any) -> dict[str, str]:
        found = {}
        for name, severity in self.table("rules", value).items():
            if name not in NAMES:
                self.unknown(f"rules.{name}", name, sorted(NAMES))
            elif severity not in SEVERITIES:
                hint = f"one of {', '.join(SEVERITIES)}"
                self.bad(f"rules.{name}", f"{severity!r} is no severity", hint)
            else:
                found[name] = severity
        return found

    def budgets(self, value: Any) -> dict[str, int]:
        found = {}
        for name, amount in self.table("budgets", value).items():
            key = f"budgets.{name}"
            if name not in ("ram", "flash", "file", "macs", "layers"):
                self.unknown(key, name, ["ram", "flash", "file", "macs", "layers"])
            elif (number := size(amount)) is None:
                self.bad(key, f"{amount!r} is no amount", 'write 65536, "64k" or "2M"')
            else:
                found[name] = number
        return found

    def limits(self, value: Any) -> dict[str, float]:
        names = {
            name.replace("_", "-"): name
            for name in (
                "scale_tolerance",
                "bias_scale_tolerance",
                "smallest_scale",
                "largest_scale",
            )
        }
        found = {}
        for name, limit in self.table("limits", value).items():
            key = f"limits.{name}"
            if name not in names:
                self.unknown(key, name, list(names))
            elif not _is_number(limit) or not limit >= 0:
                self.bad(key, f"{limit!r} is no number from 0 on", "a relative change: 0.01 is 1 %")
            else:
                found[names[name]] = float(limit)
        return found

    def ops(self, value: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, given in self.table("ops", value).items():
            key = f"ops.{name}"
            if name in ("allowed", "denied"):
                if isinstance(given, list) and all(isinstance(op, str) for op in given):
                    found[name] = frozenset(given)
                else:
                    self.bad(key, f"{given!r} is no list of op names", '["CONV_2D", "SOFTMAX"]')
            elif name == "versions":
                versions = self.table(key, given)
                wrong = [op for op, v in versions.items() if not _is_integer(v) or v < 1]
                for op in wrong:
                    self.bad(f"{key}.{op}", f"{versions[op]!r} is no op version", "a number from 1")
                found[name] = {op: v for op, v in versions.items() if op not in wrong}
            else:
                self.unknown(key, name, ["allowed", "denied", "versions"])
        return found

    def ports(self, side: str, value: Any) -> tuple[PortRule, ...] | None:
        if not isinstance(value, list):
            self.bad(side, f"{value!r} is no array of tables", f"write [[{side}]]")
            return None
        return tuple(self.port(f"{side} {i}", port) for i, port in enumerate(value))

    def port(self, key: str, value: Any) -> PortRule:
        checks: dict[str, tuple[Callable[[Any], bool], str]] = {
            "name": (lambda v: isinstance(v, str), "a string"),
            "dtype": (lambda v: isinstance(v, str) and v in ITEM_BITS, '"int8", "float32" ...'),
            "shape": (
                lambda v: isinstance(v, list) and all(_is_integer(size) for size in v),
                "a list of numbers, -1 where the dimension is dynamic",
            ),
            "scale": (_is_number, "a number"),
            "zero_point": (_is_integer, "an integer"),
        }
        found: dict[str, Any] = {}
        for name, given in self.table(key, value).items():
            if name not in checks:
                self.unknown(f"{key}, {name}", name, list(checks))
            elif not checks[name][0](given):
                self.bad(f"{key}, {name}", f"{given!r} does not fit", checks[name][1])
            else:
                found[name] = tuple(given) if name == "shape" else given
        return PortRule(**found)


def size(value: Any) -> int | None:
    """65536, "64k" or "2M" (powers of 1024) as a number; None for what is none."""
    if _is_integer(value):
        return int(value) if value >= 0 else None
    if not isinstance(value, str):
        return None
    text = value.strip().lower().removesuffix("ib").removesuffix("b")
    unit = text[-1:] if text[-1:] in ("k", "m") else ""
    try:
        amount = float(text.removesuffix(unit)) * UNITS[unit]
    except ValueError:
        return None
    return int(amount) if 0 <= amount < 2**63 else None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
