"""Ops named only in the newer of the schema's two fields get the older one too.

operator code {builtin_code: CONV_2D}    ->    {builtin_code, deprecated_builtin_code: CONV_2D}
"""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Model
from thimble.repair.contract import Repair

# What the reader found; the writer always fills both fields (formats/tflite).
KEY = "only_new_builtin_code"


def builtin_code(model: Model) -> Model:
    """The same model; writing it fills both fields."""
    if KEY not in model.extra:
        return model
    return replace(model, extra={k: v for k, v in model.extra.items() if k != KEY})


REPAIR = Repair(
    "builtin-code",
    "Some writers leave `deprecated_builtin_code` at 0, which is ADD to every runtime from before"
    " TensorFlow 2.4 and to many tools: both fields are filled.",
    builtin_code,
    where=lambda before, after: [f"op {name}" for name in before.extra[KEY]],
)
