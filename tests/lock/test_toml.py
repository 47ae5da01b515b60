"""What our writer writes, `tomllib` reads back as it was."""

from __future__ import annotations

import math
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.lock.toml import Inline, dumps

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
leaf = (
    text
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.lists(st.integers(0, 99), max_size=3)
)
inline = st.dictionaries(text, leaf, max_size=3).map(Inline)
row = st.dictionaries(text, leaf | inline | st.lists(inline, max_size=3), max_size=4)
document = st.dictionaries(text, leaf | row | st.lists(row, min_size=1, max_size=3), max_size=5)


@given(document)
@settings(max_examples=200, deadline=None)
def test_round_trip(tables: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(tables, "a comment\nof two lines")) == tables


def test_what_toml_has_no_decimals_for() -> None:
    found = tomllib.loads(dumps({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1e300}))
    assert math.isnan(found["a"])
    assert (found["b"], found["c"], found["d"]) == (math.inf, -math.inf, 1e300)
    assert tomllib.loads(dumps({"a": "half \ud800 a character"}))["a"].startswith("half ")
