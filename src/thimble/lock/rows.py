"""The records of `thimble.structure` as tables of a lock, and back.

Reading believes nothing: what has another type than it should is named, and left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thimble.graph import ITEM_BITS
from thimble.lock.toml import Inline
from thimble.structure.facts import GraphFacts, LayerFacts, ModelFacts, TensorFacts

MAX_PROBLEMS = 20


def graph_rows(graph: GraphFacts) -> dict[str, Any]:
    """One subgraph as a table."""
    return {
        "inputs": [_port_row(tensor) for tensor in graph.inputs],
        "outputs": [
            Inline({**_port_row(tensor), "from": writer})
            for tensor, writer in zip(graph.outputs, graph.writers)
        ],
        "layers": [_layer_row(layer) for layer in graph.layers],
    }


def _layer_row(layer: LayerFacts) -> dict[str, Any]:
    row: dict[str, Any] = {
        "index": layer.index,
        "op": layer.op,
        "version": layer.version,
        "name": layer.name,
    }
    if layer.options:
        row["options"] = inline(layer.options)
    row["reads"] = list(layer.reads)
    if layer.constants:
        row["constants"] = [
            Inline({"input": k, **_tensor_row(tensor)})
            for k, tensor in sorted(layer.constants.items())
        ]
    row["outputs"] = [_tensor_row(tensor) for tensor in layer.outputs]
    return row


def inline(value: Any) -> Any:
    """`value` with every table in it on one line."""
    if isinstance(value, Mapping):
        return Inline({k: inline(v) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return [inline(item) for item in value]
    return value


def _port_row(tensor: TensorFacts) -> Inline:
    return Inline({"name": tensor.name, **_tensor_row(tensor)})


def _tensor_row(tensor: TensorFacts) -> Inline:
    row = Inline({"dtype": tensor.dtype, "shape": list(tensor.shape)})
    if tensor.scales == 1:
        row |= {"scale": tensor.scale, "zero_point": tensor.zero_point}
    elif tensor.quantization is not None:
        row |= {"scales": tensor.scales, "axis": tensor.axis}
        if tensor.scale_range is not None:
            row |= {"least": tensor.scale_range[0], "largest": tensor.scale_range[1]}
        row["quantization"] = tensor.quantization
    if tensor.data is not None:
        row["data"] = tensor.data
    if tensor.values is not None:
        row["values"] = list(tensor.values)
    if tensor.is_variable:
        row["variable"] = True
    return row


class Reader:
    """Reads the tables of a lock; `problems` are what was not as `thimble lock` writes it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def bad(self, key: str, what: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{key} {what}")

    def get(self, table: Mapping[str, Any], key: str, kind: type, where: str, default: Any) -> Any:
        """table[key] where it is of `kind`; `default` after a problem where it is not."""
        if key not in table:
            self.bad(f"{where}{key}", "is missing")
            return default
        return self.typed(table[key], kind, f"{where}{key}", default)

    def typed(self, value: Any, kind: type, key: str, default: Any) -> Any:
        is_bool = isinstance(value, bool)
        if kind is float and isinstance(value, (int, float)) and not is_bool:
            return float(value)
        if not isinstance(value, kind) or (is_bool and kind is not bool):
            self.bad(key, f"is no {kind.__name__}")
            return default
        return value

    def maybe(self, table: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
        """table[key], or None where it is not there."""
        return self.typed(table[key], kind, f"{where}{key}", None) if key in table else None

    def tables(self, table: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
        """A list of tables; an empty list where there is none."""
        found = self.typed(table.get(key, []), list, f"{where}{key}", [])
        return [item for item in found if self.typed(item, dict, f"{where}{key}", None) is not None]

    def strings(self, table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
        found = self.typed(table.get(key, []), list, f"{where}{key}", [])
        return tuple(self.typed(item, str, f"{where}{key}", "") for item in found)

    def integers(self, table: Mapping[str, Any], key: str, where: str) -> tuple[int, ...]:
        found = self.get(table, key, list, where, [])
        return tuple(self.typed(item, int, f"{where}{key}", 0) for item in found)

    def model(self, document: Mapping[str, Any], source: str) -> ModelFacts:
        about = self.get(document, "model", dict, "", {})
        converter = self.typed(document.get("converter", {}), dict, "converter", {})
        others = self.tables(document, "subgraphs", "")
        return ModelFacts(
            source,
            (
                self.graph(document, ""),
                *(self.graph(other, f"subgraph {i + 1}, ") for i, other in enumerate(others)),
            ),
            self.strings(about, "signatures", "model."),
            {str(k): v if isinstance(v, (str, int)) else str(v) for k, v in converter.items()},
        )

    def graph(self, table: Mapping[str, Any], where: str) -> GraphFacts:
        inputs = self.tables(table, "inputs", where)
        outputs = self.tables(table, "outputs", where)
        layers = self.tables(table, "layers", where)
        return GraphFacts(
            tuple(self.tensor(x, f"{where}input {i}, ") for i, x in enumerate(inputs)),
            tuple(self.tensor(x, f"{where}output {i}, ") for i, x in enumerate(outputs)),
            tuple(
                self.get(x, "from", str, f"{where}output {i}, ", "") for i, x in enumerate(outputs)
            ),
            tuple(self.layer(x, i, f"{where}layer {i}, ") for i, x in enumerate(layers)),
        )

    def layer(self, row: Mapping[str, Any], index: int, where: str) -> LayerFacts:
        constants: dict[int, TensorFacts] = {}
        for item in self.tables(row, "constants", where):
            k = self.get(item, "input", int, f"{where}constants, ", -1)
            constants[k] = self.tensor(item, f"{where}constant {k}, ")
        reads = self.strings(row, "reads", where)
        return LayerFacts(
            index,
            self.get(row, "op", str, where, ""),
            self.get(row, "version", int, where, 1),
            self.get(row, "name", str, where, ""),
            self.typed(row.get("options", {}), dict, f"{where}options", {}),
            tuple(self.source(text, f"{where}reads") for text in reads),
            constants,
            tuple(
                self.tensor(x, f"{where}output {i}, ")
                for i, x in enumerate(self.tables(row, "outputs", where))
            ),
        )

    def source(self, text: str, where: str) -> str:
        """Where an input comes from, as `LayerFacts.reads` has it."""
        words = text.split()
        if words[:1] == ["layer"] and not (len(words) >= 2 and words[1].isdecimal()):
            self.bad(where, f"names no layer: {text[:40]!r}")
            return "nothing"
        return text

    def tensor(self, row: Mapping[str, Any], where: str) -> TensorFacts:
        scale = self.maybe(row, "scale", float, where)
        least, largest = (self.maybe(row, key, float, where) for key in ("least", "largest"))
        dtype = self.get(row, "dtype", str, where, "float32")
        if dtype not in ITEM_BITS:
            self.bad(f"{where}dtype", f"is no dtype: {dtype[:40]!r}")
        values = self.integers(row, "values", where) if "values" in row else None
        several = self.maybe(row, "scales", int, where)
        return TensorFacts(
            self.maybe(row, "name", str, where) or "",
            dtype,
            self.integers(row, "shape", where),
            scale=scale,
            zero_point=self.maybe(row, "zero_point", int, where) if scale is not None else None,
            scales=1 if scale is not None else several or 0,
            axis=self.maybe(row, "axis", int, where),
            scale_range=None if least is None or largest is None else (least, largest),
            quantization=self.maybe(row, "quantization", str, where),
            data=self.maybe(row, "data", str, where),
            values=values,
            is_variable=bool(row.get("variable", False)),
        )
