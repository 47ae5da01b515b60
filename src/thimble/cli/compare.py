"""thimble compare"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, samples_option, verb


@verb("thimble compare model.tflite model.tflite@host --data data.npz", "compare", html=True)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--data", help="Samples: .npz, .npy or a folder; else seeded random ones.")
@click.option("--data-b", help="B's samples, where its preprocessing is another one.")
@click.option("--explain", is_flag=True, help="Name the causes: which layer is wrong, and why.")
@click.option(
    "--isolate",
    metavar="F.tflite",
    help="Write the guilty layer as F.tflite, its inputs and outputs as F.npz.",
)
@click.option(
    "--fix",
    metavar="F.tflite",
    help="Write B with the repairs that the causes name, verified on the samples.",
)
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
    screen: Screen,
    a: str,
    b: str,
    data: str | None,
    data_b: str | None,
    explain: bool,
    isolate: str | None,
    fix: str | None,
    tolerance_lsb: float,
    samples: int | None,
) -> int:
    """How far B is from A, layer by layer, where they part first, and why.

    A and B are MODEL or MODEL@RUNNER (the runner is `reference` where none is named). Exit status 1
    when a layer differs by more than the tolerance.
    """
    from thimble.compare import compare

    with screen.progress("comparing") as progress:
        report = compare(
            a,
            b,
            data,
            data_b=data_b,
            explain=explain or isolate is not None or fix is not None,
            isolate=isolate,
            fix=fix,
            tolerance_lsb=tolerance_lsb,
            samples=samples,
            progress=progress,
        )
    screen.show(report)
    return 0 if report.equal else 1
