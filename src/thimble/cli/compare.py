"""thimble compare"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, samples_option, verb


@verb("thimble compare model.tflite model.tflite@host --data data.npz", "compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--data", help="Samples: .npz, .npy or a folder; else seeded random ones.")
@click.option(
    "--tolerance-lsb",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    metavar="N",
    help="Steps of the quantized tensors by which B may differ.",
)
@samples_option
def command(
    screen: Screen, a: str, b: str, data: str | None, tolerance_lsb: float, samples: int | None
) -> int:
    """How far B is from A, layer by layer, and where they part first.

    A and B are MODEL or MODEL@RUNNER (the runner is `reference` where none is named). Exit status 1
    when a layer differs by more than the tolerance.
    """
    from thimble.compare import compare

    with screen.progress("comparing") as progress:
        report = compare(
            a, b, data, tolerance_lsb=tolerance_lsb, samples=samples, progress=progress
        )
    screen.show(report)
    return 0 if report.equal else 1
