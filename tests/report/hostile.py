"""Reports whose every name tries to become code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from report import pages

from thimble.graph import Graph
from thimble.report import Report

PAYLOAD = """</script></title></style><script>window.hacked=1</script>"><img src=x onerror=\
"window.hacked=1"><svg onload=window.hacked=1>'`{{7*7}}"""


def poisoned(value: Any) -> Any:
    """`value` with PAYLOAD in front of every text in it, keys of mappings included."""
    if isinstance(value, Graph):
        tensors = tuple(dataclasses.replace(t, name=PAYLOAD + t.name) for t in value.tensors)
        nodes = tuple(dataclasses.replace(n, name=n.name and PAYLOAD + n.name) for n in value.nodes)
        return dataclasses.replace(value, tensors=tensors, nodes=nodes, name=PAYLOAD)
    if isinstance(value, np.ndarray):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {
            f.name: poisoned(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init
        }
        return dataclasses.replace(value, **changed)
    if isinstance(value, str):
        return PAYLOAD + value
    if isinstance(value, Mapping):
        is_finding = "severity" in value  # its keys are ours
        return {key if is_finding else poisoned(key): poisoned(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [poisoned(item) for item in value]
    return value


@cache
def hostile(kind: str) -> Report:
    """A report of this kind with PAYLOAD in all its names."""
    return poisoned(pages.report(kind))
