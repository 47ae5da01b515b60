"""thimble ops"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, verb


@verb("thimble ops model.tflite", "ops")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--target", help="A core; all cores support the same ops.")
@click.option("--write", metavar="FILE", help="Write the whole table as Markdown to this file.")
def command(screen: Screen, model: str | None, target: str | None, write: str | None) -> int:
    """Which ops are supported, as sentences; with MODEL, which of its layers are not and what to
    do.

    Exit status 1 when a layer of MODEL has no kernel.
    """
    from thimble.formats import load_model
    from thimble.output import write_file
    from thimble.support import markdown, ops_report
    from thimble.targets import load_target

    if target is not None:
        load_target(target)
    if write is not None:
        write_file(write, markdown())
        screen.say(f"wrote {write}")
        return 0
    report = ops_report(load_model(model) if model is not None else None)
    screen.show(report)
    return 1 if report.findings else 0
