"""Accuracy of models that Thimble quantizes, beside the float model and TensorFlow's own int8 file.

    python bench/accuracy.py ../shared/data

Prints the accuracy on the labelled open samples with its 95 % interval, and whether int8 really
differs from float on them; calibration: 200 training images, 100 clips, the 62 photographs
themselves.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import thimble
from thimble.report.evaluate import EvaluateResult


def share(result: EvaluateResult) -> str:
    """89.5 % (86.1 .. 92.2)"""
    assert result.accuracy is not None
    assert result.accuracy_interval is not None
    low, high = result.accuracy_interval
    return f"{100 * result.accuracy:.1f} % ({100 * low:.1f} .. {100 * high:.1f})"


def main() -> int:
    """Measure and print a Markdown table and a sentence for each int8 model."""
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
    print("|---|---:|---:|---:|---:|", flush=True)
    sentences = []
    for task, files, calibration, (x, y) in cases:
        real, theirs = (thimble.load(str(folder / f"bench/{name}.tflite")) for name in files)
        ours = thimble.quantize(real, calibration)
        models = [
            replace(model, source=name)
            for model, name in (
                (real, "float"),
                (theirs, "TensorFlow's int8"),
                (ours, "Thimble's int8"),
            )
        ]
        report = thimble.evaluate(models, {"x": x, "y": y})
        print(f"| {task} | {len(y)} | {' | '.join(map(share, report.results))} |", flush=True)
        sentences += [
            f"* {task}: {d.sentence.replace('@host', '')}"
            for d in report.differences
            if d.figure == "accuracy"
        ]
    print()
    print("\n".join(sentences))
    return 0


if __name__ == "__main__":
    sys.exit(main())
