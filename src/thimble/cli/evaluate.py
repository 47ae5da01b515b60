"""thimble evaluate"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, model_argument, samples_option, verb


@verb("thimble evaluate model.tflite --data data.npz --on host", "evaluate")
@model_argument
@click.option("--data", required=True, help="Samples with labels `y`: .npz or a folder.")
@click.option("--on", "runner", default="host", show_default=True, help="Runner or target.")
@samples_option
def command(screen: Screen, model: str, data: str, runner: str, samples: int | None) -> int:
    """Accuracy, top-5, AUC, confusion, latency, CPU and memory of MODEL on labelled data."""
    from thimble.evaluate import evaluate
    from thimble.formats import load_model

    with screen.progress(f"evaluating on {runner}") as progress:
        report = evaluate(load_model(model), data, runner, samples=samples, progress=progress)
    screen.show(report)
    return 0
