"""Writing TOML: as much of it as a lock needs, in a form that diffs well.

One key a line; tables of records as [[name]]; what is marked `Inline` on one line. `tomllib` reads
it back as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Inline(dict[str, Any]):
    """A table that is written on one line."""


def dumps(document: Mapping[str, Any], comment: str = "") -> str:
    """`document` as TOML, after `comment`. Values: str, bool, int, float, list, dict."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += _table(document, ())
    return "\n".join(lines).strip("\n") + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    later = []
    for name, value in table.items():
        if (isinstance(value, Mapping) and not isinstance(value, Inline)) or _is_records(value):
            later.append((name, value))
        else:
            yield from _line(name, value)
    for name, value in later:
        here = (*path, name)
        title = ".".join(_key(part) for part in here)
        for record in [value] if isinstance(value, Mapping) else value:
            yield ""
            yield f"[{title}]" if isinstance(value, Mapping) else f"[[{title}]]"
            yield from _table(record, here)


def _is_records(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(v, Mapping) and not isinstance(v, Inline) for v in value)
    )


def _line(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, (list, tuple)) and any(isinstance(v, Inline) for v in value):
        yield f"{_key(name)} = ["
        for item in value:
            yield f"  {_value(item)},"
        yield "]"
    else:
        yield f"{_key(name)} = {_value(value)}"


def _key(name: str) -> str:
    return name if name and set(name) <= _BARE else _string(name)


def _string(text: str) -> str:
    out = []
    for c in text:
        code = ord(c)
        if c in _ESCAPES:
            out.append(_ESCAPES[c])
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\u{code:04X}")
        elif 0xD800 <= code <= 0xDFFF:  # half a character: TOML has none
            out.append("\N{REPLACEMENT CHARACTER}")
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = repr(value)
    return text if any(c in text for c in ".einf") else f"{text}.0"
