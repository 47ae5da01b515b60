"""Accuracy of models that Thimble quantizes, beside the float model and TensorFlow's own int8 file.

    python bench/accuracy.py ../shared/data

Prints right answers of the labelled open samples; calibration: 200 training images, 100 clips, the
62 photographs themselves.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import thimble
from thimble.runners import make_runner
from thimble.support import runnable

Array = np.ndarray


def right(model: thimble.Model, x: Array, y: Array) -> int:
    """Samples whose largest output is their label's, on the host runner."""
    tensor = model.graph.tensors[model.graph.inputs[0]]
    if tensor.dtype == "int8":
        x = np.clip(np.round(x / tensor.scale) + tensor.zero_point, -128, 127).astype(np.int8)
    with make_runner("host", runnable(model)) as runner:
        answers = [
            int(np.argmax(next(iter(runner.outputs([sample[None]]).outputs.values()))))
            for sample in x
        ]
    return int(np.sum(np.array(answers) == y))


def main() -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    images = np.load(folder / "data/cifar10_open.npz")
    clips = np.load(folder / "data/speech_commands_open_mfcc.npz")
    photos = np.load(folder / "data/vww_open.npz")
    persons = (photos["x"] / 255).astype(np.float32)
    cases = [
        (
            "image classification",
            ("pretrainedResnet", "pretrainedResnet_quant"),
            images["x_calib"][:200].astype(np.float32),
            (images["x_test"].astype(np.float32), images["y_test"]),
        ),
        (
            "keyword spotting",
            ("kws_ref_model_float32", "kws_ref_model"),
            clips["f_calib"][:100],
            (clips["f_dev"], clips["y_dev"]),
        ),
        ("visual wake words", ("vww_96_float", "vww_96_int8"), persons, (persons, photos["y"])),
    ]
    print("| task | samples | float | TensorFlow's int8 | Thimble's int8 |")
    print("|---|---:|---:|---:|---:|")
    for task, files, calibration, (x, y) in cases:
        real, theirs = (thimble.load(str(folder / f"bench/{name}.tflite")) for name in files)
        ours = thimble.quantize(real, calibration)
        counts = [right(model, x, y) for model in (real, theirs, ours)]
        print(f"| {task} | {len(y)} | {' | '.join(map(str, counts))} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
