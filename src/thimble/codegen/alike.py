"""Words that all calls of a model have alike, for kernels' functions that serve all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from thimble.codegen.literals import word_literal
from thimble.program import Program

_ASKED = re.compile(r"\bTHM_ALL_(\w+)")


def definitions(program: Program, headers: Iterable[str]) -> list[str]:
    """`#define THM_ALL_word value` for each word that the text of `headers` asks for and that has
    one value in all calls that have it.
    """
    asked = sorted({word for text in headers for word in _ASKED.findall(text)})
    lines = []
    for word in asked:
        values = {
            word_literal(call.params[word], call.signature.params[word])
            for call in program.calls
            if word in call.params
        }
        if len(values) == 1:
            lines.append(f"#define THM_ALL_{word} ({values.pop()})")
    return lines
