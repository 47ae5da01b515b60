"""thimble quantize"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, model_argument, samples_option, verb


@verb("thimble quantize model.tflite --data data.npz -o model_int8.tflite", "quantize")
@model_argument
@click.option("--data", required=True, help="Samples to calibrate on: .npz, .npy or a folder.")
@click.option("-o", "--output", required=True, help="The .tflite file to write.")
@click.option("--scheme", default="int8", show_default=True, help="int8 or int16x8.")
@click.option("--ranges", help="percentile, mse or minmax; by default what suits the scheme.")
@click.option("--io", help="Inputs and outputs: float32, or by default the scheme's integers.")
@click.option("--keep", multiple=True, metavar="LAYER", help="Leave this layer in float32.")
@samples_option
def command(
    screen: Screen,
    model: str,
    data: str,
    output: str,
    scheme: str,
    ranges: str | None,
    io: str | None,
    keep: tuple[str, ...],
    samples: int | None,
) -> int:
    """Quantize the float MODEL; the ranges of its activations come from --data."""
    from thimble.errors import Finding
    from thimble.formats import load_model
    from thimble.formats.data import as_dataset
    from thimble.formats.tflite import dumps
    from thimble.inspect import inspect
    from thimble.output import check_writable, write_file
    from thimble.quantize import quantize

    check_writable(output)
    loaded = load_model(model)
    dataset = as_dataset(data, loaded).first(samples)

    def warn(finding: Finding) -> None:
        screen.say(str(finding))

    with screen.progress("calibrating") as progress:
        quantized = quantize(
            loaded, dataset, scheme, ranges, io, keep, progress=progress, warn=warn
        )
    write_file(output, dumps(quantized))
    screen.say(f"wrote {output}, calibrated on {len(dataset)} samples")
    screen.show(inspect(load_model(output), output))
    return 0
