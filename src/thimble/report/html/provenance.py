"""How each figure was got: the last section of every page."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from thimble.report.html.markup import element
from thimble.report.html.page import Section
from thimble.report.html.table import table


def provenance(*given: Mapping[str, str]) -> list[Section]:
    """One section, or none where nothing is said."""
    rows = [
        (element("code", what), how)
        for what, how in chain.from_iterable(g.items() for g in given)
        if how
    ]
    if not rows:
        return []
    lead = "Whether a figure was measured, counted, planned or estimated, and how."
    made = table(("figure", "how it was got"), rows, (0, 1), is_sortable=False)
    return [Section("provenance", "Where the figures come from", made, lead)]
