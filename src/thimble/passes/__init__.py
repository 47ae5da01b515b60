"""Rewrites of the graph, one per file, and the order in which they run.

Every pass of `PIPELINE` is exact: outputs keep their bits, floats included (the file of each says
why). `UNSHRUNK` is the same without `shrink`, so that every layer has the channels of the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from thimble.errors import InvalidModel
from thimble.graph import Graph, Model
from thimble.invariants import check_graph
from thimble.passes.compact import compact
from thimble.passes.convolution_form import convolution_form
from thimble.passes.dead_code import dead_code
from thimble.passes.dilate import dilate
from thimble.passes.fold_constants import fold_constants
from thimble.passes.fold_float_weights import fold_float_weights
from thimble.passes.fuse_activation import fuse_activation
from thimble.passes.fuse_bias import fuse_bias
from thimble.passes.fuse_pad import fuse_pad
from thimble.passes.join_splits import join_splits
from thimble.passes.merge_transposes import merge_transposes
from thimble.passes.remove_identity import remove_identity
from thimble.passes.shrink import shrink
from thimble.passes.static_shapes import static_shapes

Pass = Callable[[Graph], Graph]

PIPELINE: Sequence[Pass] = (
    static_shapes,  # first: folding SHAPE believes them
    fold_float_weights,  # DEQUANTIZE of constants hides the weights from all others
    fold_constants,  # before what needs shapes, paddings and permutations to be constants
    join_splits,
    merge_transposes,
    remove_identity,  # after merge_transposes, which leaves RESHAPEs
    dilate,
    fuse_bias,  # after dilate: TensorFlow adds the bias behind BATCH_TO_SPACE_ND
    fuse_pad,  # before dead_code, which removes the PADs it leaves
    fuse_activation,
    dead_code,  # after what orphans nodes rather than deletes them
    convolution_form,
    shrink,  # last: it looks into fused activations, and not into groups
)
UNSHRUNK: Sequence[Pass] = tuple(rewrite for rewrite in PIPELINE if rewrite is not shrink)


def pipeline(shrink: bool = True) -> Sequence[Pass]:
    """PIPELINE, or UNSHRUNK for those who ask to keep every channel of the file."""
    return PIPELINE if shrink else UNSHRUNK


def run_passes(
    model: Model, passes: Sequence[Pass] = PIPELINE, dump_dir: str | os.PathLike[str] | None = None
) -> Model:
    """`model` after each of `passes` in turn, on every subgraph, without unused tensors.

    `dump_dir`: a folder that gets the model after every pass, as `02_fuse_pad.tflite`.
    Raises InvalidModel, naming the pass, when a pass breaks a rule of `thimble.invariants` (a bug
    of ours).
    """
    for number, rewrite in enumerate(passes):
        name = rewrite.__name__
        graphs = tuple(rewrite(graph) for graph in model.graphs)
        changed = any(new is not old for new, old in zip(graphs, model.graphs))
        model = replace(model, graphs=graphs)
        if changed:
            findings = [f for g in graphs for f in check_graph(g, f"{model.source}, after {name}")]
            if findings:
                raise InvalidModel(findings)
        if dump_dir is not None:
            os.makedirs(dump_dir, exist_ok=True)
            model.save(os.path.join(dump_dir, f"{number:02d}_{name}.tflite"))
    return compact(model)
