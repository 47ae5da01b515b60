"""Several models in one arena: NAME.h includes theirs, NAME.c runs, resets and tests them in turn.

Every model keeps its own functions, which all take the same arena. The states lie at its start, one
after the other; what is behind them is free for whichever model runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thimble.codegen import driver
from thimble.codegen.driver import PartCall, Place
from thimble.codegen.firmware import Firmware


def emit(name: str, models: Sequence[Firmware], arena_bytes: int, arena_align: int) -> Firmware:
    """The driver NAME and the models, each a unit of its own.

    Its inputs and outputs are those of all models, INPUT of model M being called M_INPUT; they lie
    outside the arena, where the next model does not overwrite them.
    """
    calls, inputs, outputs = [], [], []
    for model in models:
        own = [
            [replace(p, c_name=f"{model.name}_{p.c_name}", arena_offset=None) for p in ports]
            for ports in (model.inputs, model.outputs)
        ]
        inputs += own[0]
        outputs += own[1]
        places = [tuple(Place(port.c_name) for port in ports) for ports in own]
        calls.append(PartCall(model, places[0], places[1]))
    stateful = [model.name for model in models if model.state_bytes]
    prototypes = [
        "/* Each model also runs by its own functions, in any order, all with this arena: the",
        " * memory of one is free for the next, so read the outputs that lie in the arena before",
        " * another model runs, and write inputs there after it did.",
        *_state_words(name, models),
        " */",
        *([f"void {name}_reset(void *arena);", ""] if stateful else [""]),
    ]
    return driver.emit(
        name,
        calls,
        inputs,
        outputs,
        arena_bytes,
        arena_align,
        [f"{m.name}: {m.source}" for m in models],
        what="model",
        state_bytes=sum(model.state_bytes for model in models),
        prototypes=prototypes,
        more=_functions(name, models, stateful),
    )


def _state_words(name: str, models: Sequence[Firmware]) -> list[str]:
    """Lines of a comment: what must stay untouched between calls."""
    stateful = [model for model in models if model.state_bytes]
    if not stateful:
        return []
    total = sum(model.state_bytes for model in stateful)
    kept = ", ".join(f"{model.name} {model.state_bytes}" for model in stateful)
    return [
        f" * The first {total} bytes are the states ({kept} bytes): no other model touches them.",
        f" * {name}_reset forgets what all models have seen: call it first.",
    ]


def _functions(name: str, models: Sequence[Firmware], stateful: Sequence[str]) -> str:
    lines = []
    if stateful:
        lines += [f"void {name}_reset(void *arena)", "{"]
        lines += [f"    {model}_reset(arena);" for model in stateful]
        lines += ["}", ""]
    return "\n".join(lines)


def with_self_test(firmware: Firmware, models: Sequence[Firmware]) -> Firmware:
    """`firmware` with NAME_self_test, which runs those of the models: 0, or the 1-based model."""
    name = firmware.name
    lines = ["/* Self test: that of each model; forgets what stateful models have seen. */"]
    lines += [f"int {name}_self_test(void *arena)", "{"]
    for k, model in enumerate(models):
        lines += [f"    if ({model.name}_self_test(arena) != 0) {{", f"        return {k + 1};"]
        lines += ["    }"]
    lines += [*(f"    {m.name}_reset(arena);" for m in models if m.state_bytes)]
    lines += ["    return 0;", "}", ""]
    files = {**firmware.files, firmware.source: firmware.files[firmware.source] + "\n".join(lines)}
    return replace(firmware, files=files)
