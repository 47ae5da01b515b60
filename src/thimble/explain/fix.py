"""The repair that a cause names, applied to B and verified."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thimble.errors import BadInput, Finding
from thimble.graph import Model
from thimble.output import check_writable
from thimble.report import Cause

if TYPE_CHECKING:
    from thimble.repair import Repaired

# What has to follow a repair: a batch that is static leaves a dilated convolution in three parts,
# which TFLM pads wrongly in int8.
FOLLOWS = {"static-batch": ("fold-shape-arithmetic", "dilated-convolution", "fuse-bias")}


def repairs_of(causes: Sequence[Cause]) -> list[str]:
    """The repairs that `causes` name, each once, with those that have to follow them."""
    names: dict[str, None] = {}
    for cause in causes:
        if cause.repair is not None:
            names[cause.repair] = None
            names.update(dict.fromkeys(FOLLOWS.get(cause.repair, ())))
    return list(names)


def fix_model(
    model: Model, causes: Sequence[Cause], path: str | os.PathLike[str], data: Any
) -> str:
    """Write `model` with the repairs that `causes` name to `path`, verified on `data`.

    Returns a sentence that says what was done. Raises BadInput where no cause names a repair.
    """
    from thimble.repair import repair

    check_writable(path)
    names = repairs_of(causes)
    if not names:
        known = ", ".join(dict.fromkeys(cause.rule for cause in causes)) or "none was found"
        raise BadInput(
            Finding(
                "nothing-to-fix",
                model.source,
                f"no cause has a repair ({known})",
                "see `thimble repair --help`, or export the model again",
            )
        )
    repaired: Repaired = repair(model, names, data)
    repaired.save(os.fspath(path))
    done = ", ".join(dict.fromkeys(applied.name for applied in repaired.report.repairs))
    return f"B with {done or 'nothing'} repaired written to {path}, verified"
