"""thimble repair"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, samples_option, verb


@verb("thimble repair model.tflite -o repaired.tflite", "repair", html=True)
@click.argument("model", metavar="MODEL", required=False)
@click.option("-o", "--output", help="The .tflite file to write.")
@click.option("--only", metavar="NAME,...", help="These repairs, also those that run by name only.")
@click.option("--data", help="Samples to verify on: .npz, .npy or a folder; else seeded random.")
@click.option(
    "--tolerance-lsb",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    metavar="N",
    help="Steps by which quantized outputs may move beyond the bounds of the repairs.",
)
@click.option(
    "--for", "runtime", metavar="RELEASE", help="Op versions that this TensorFlow (2.4) knows."
)
@click.option("--list", "show_list", is_flag=True, help="Which repairs there are.")
@click.option("--write", metavar="FILE", help="Write that list as Markdown to this file.")
@samples_option
def command(
    screen: Screen,
    model: str | None,
    output: str | None,
    only: str | None,
    data: str | None,
    tolerance_lsb: float,
    runtime: str | None,
    show_list: bool,
    write: str | None,
    samples: int | None,
) -> int:
    """Mend MODEL with named rewrites, each exact or with a bound, and verify it on samples.

    The file is written only when the repaired model computes what the original means, on our
    reference runner and on LiteRT and TensorFlow Lite Micro where they are installed. Exit status 1
    when it does not. Where nothing is to be repaired the file is a copy.
    """
    from dataclasses import replace

    from thimble.output import check_writable, write_file
    from thimble.repair import list_repairs, markdown, repair

    if write is not None:
        write_file(write, markdown())
        screen.say(f"wrote {write}")
        return 0
    if show_list:
        screen.show(list_repairs())
        return 0
    if model is None or output is None:
        missing = "MODEL" if model is None else "-o FILE"
        raise click.UsageError(f"Missing {missing}; or see what there is with --list.")
    check_writable(output)
    names = None if only is None else [name.strip() for name in only.split(",") if name.strip()]
    with screen.stages() as stages:
        repaired = repair(
            model,
            names,
            data,
            samples=samples,
            tolerance_lsb=tolerance_lsb,
            runtime=runtime,
            progress=lambda runner, done, count: stages(f"verifying on {runner}", done, count),
        )
    write_file(output, repaired.content)
    screen.say(f"wrote {output}" + ("" if repaired.report.repairs else ", a copy"))
    screen.show(replace(repaired.report, output=output))
    return 0
