"""thimble run"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, model_argument, samples_option, verb


@verb("thimble run model.tflite --on host --input data.npz --output out.npz", "run")
@model_argument
@click.option("--on", "runner", default="host", show_default=True, help="Runner or target.")
@click.option("--input", "data", help="Samples: .npz, .npy or a folder; else seeded random ones.")
@click.option("--output", help="Write the outputs, by name, to this .npz file.")
@click.option("--trace", is_flag=True, help="Every layer's outputs too.")
@samples_option
def command(
    screen: Screen,
    model: str,
    runner: str,
    data: str | None,
    output: str | None,
    trace: bool,
    samples: int | None,
) -> int:
    """Run MODEL on every sample.

    Runners: reference, program, host, litert, litert-ref, litert-nodelegate, tflm, and the emulated
    targets (cortex-m0, cortex-m3, cortex-m4, cortex-m7, cortex-m33, cortex-m55).
    """
    from thimble.formats import load_model
    from thimble.formats.data import as_dataset
    from thimble.output import check_writable, write_file
    from thimble.run import npz_bytes, run, run_report
    from thimble.runners import check_runner

    check_runner(runner)
    if output is not None:
        check_writable(output)
    loaded = load_model(model)
    dataset = as_dataset(data, loaded).first(samples)
    if data is None:
        screen.say(f"no --input: {dataset.source}")
    for note in dataset.notes:
        screen.say(note)
    with screen.progress(f"running on {runner}") as progress:
        result = run(loaded, dataset, runner, trace=trace, progress=progress)
    if output is not None:
        arrays = {**result.tensors, **result.outputs} if trace else dict(result.outputs)
        write_file(output, npz_bytes(arrays))
        screen.say(f"wrote {output}")
    screen.show(run_report(loaded, result, dataset, runner))
    return 0
