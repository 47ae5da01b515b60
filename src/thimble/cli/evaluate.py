"""thimble evaluate"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, verb


@verb("thimble evaluate model.tflite --data data.npz --on host", "evaluate", html=True)
@click.argument("models", metavar="MODEL[@RUNNER]...", nargs=-1, required=True)
@click.option(
    "--data",
    required=True,
    metavar="PATH",
    help="Samples with labels `y`: .npz, or a folder with a subfolder for each class.",
)
@click.option(
    "--on", "runners", default="host", show_default=True, help="Runners or targets, by commas."
)
@click.option(
    "--samples", "--limit", type=click.IntRange(1), metavar="N", help="Only the first N samples."
)
@click.option(
    "--top-k", type=click.IntRange(1), default=5, show_default=True, metavar="K", help="Best K."
)
@click.option(
    "--task",
    type=click.Choice(["auto", "classes", "anomaly", "values"]),
    default="auto",
    show_default=True,
    help="What the labels mean: class numbers, 1 for anomalies, values to come near to.",
)
@click.option(
    "--pixels",
    type=click.Choice(["auto", "raw", "unit", "signed"]),
    default="auto",
    show_default=True,
    help="8-bit pixels as they are, over 255, or in [-1, 1]; auto: as the input's range says.",
)
@click.option(
    "--resume", metavar="FILE", help="Keep what is done in FILE; go on from what is in it."
)
def command(
    screen: Screen,
    models: tuple[str, ...],
    data: str,
    runners: str,
    samples: int | None,
    top_k: int,
    task: str,
    pixels: str,
    resume: str | None,
) -> int:
    """Accuracy, top-k, AUC, confusion or errors of MODELs on labelled data, with their confidence.

    Several models or runners come side by side, and each is tested against the first: does int8
    really differ from float? Latency, CPU use and peak memory come along.
    """
    from thimble.evaluate import evaluate

    names = [name.strip() for name in runners.split(",") if name.strip()]
    with screen.progress("evaluating") as progress:
        report = evaluate(
            list(models),
            data,
            names,
            samples=samples,
            task=task,
            pixels=pixels,
            top_k=top_k,
            resume=resume,
            progress=progress,
        )
    screen.show(report)
    return 0
