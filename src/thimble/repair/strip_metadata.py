"""What describes the model and takes no part in inference: metadata, attached files, descriptions.

metadata {min_runtime_version, CONVERSION_METADATA}, labels.txt    ->    nothing
"""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Model
from thimble.repair.contract import Repair

_DESCRIBING = ("files", "metadata_buffers")


def strip_metadata(model: Model) -> Model:
    """The same model without metadata and attached files."""
    if not model.metadata and not any(name in model.extra for name in _DESCRIBING):
        return model
    extra = {k: v for k, v in model.extra.items() if k not in _DESCRIBING}
    return replace(model, metadata={}, extra=extra)


def _where(before: Model, after: Model) -> list[str]:
    attached = before.extra.get("files", {})
    return [*(f"metadata `{m}`" for m in before.metadata), *(f"file `{f}`" for f in attached)]


REPAIR = Repair(
    "strip-metadata",
    "Metadata and attached label files take flash where the whole file is linked in: they go.",
    strip_metadata,
    by_name=True,
    where=_where,
)
