"""thimble lock"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, model_argument, verb


@verb("thimble lock model.tflite -o model.lock", "lock")
@model_argument
@click.option("-o", "--output", metavar="LOCK", help="The file to write; else stdout.")
def command(screen: Screen, model: str, output: str | None) -> int:
    """Write down what MODEL is: ops, shapes, quantization, digests, memory and golden outputs.

    `thimble check MODEL --lock LOCK` then fails when any of it has changed.
    """
    from thimble.lock import lock
    from thimble.output import check_writable

    if output is not None:
        check_writable(output)
    made = lock(model)
    if output is not None:
        made.save(output)
        screen.say(f"wrote {output}")
    if screen.as_json:
        import json

        from thimble.report.base import plain

        click.echo(json.dumps(plain(made.document), indent=1, allow_nan=False))
    else:
        click.echo(made.text if output is None else f"{made.summary}\n", nl=False)
    return 0
