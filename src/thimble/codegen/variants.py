"""How each call reaches its kernel: folded into its layer, in a function of its own, or shared.

A kernel's body is always inlined. `inline`: into the layer, all words and addresses constant.
`folded`: into a function of constant words that takes the addresses, for calls that differ in
nothing else. `shared`: into one function that reads at run time the words in which its calls
differ. Calls that say they are `alike` gain little from folding and share when there are many of
them. Leaving the choice to the compiler measured worst of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from thimble.program import KernelCall, Program

# A kernel that would need more functions than this shares one for the layers that matter least.
MOST_FUNCTIONS = 12
# A layer with less than this part of all multiply-accumulates may share.
SMALL_SHARE = 0.02


@dataclass(frozen=True)
class Variant:
    """kind: inline | folded | shared; `function` is what is called; `words` the call that defines
    the words of a folded function; `why` is for reports."""

    kind: str
    function: str
    words: int
    why: str = field(default="", compare=False)


def choose(program: Program, name: str, optimize: str) -> dict[int, Variant]:
    """Call index -> variant. optimize: speed (all inline), size (all shared), auto."""
    calls = program.calls
    uses = Counter(call.kernel for call in calls)
    many = len({_words(call) for call in calls if call.alike}) > MOST_FUNCTIONS
    together = optimize == "size" or (optimize == "auto" and many)  # calls that are alike
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, call in enumerate(calls):
        alike = together and call.alike
        groups.setdefault((call.kernel, call.alike) if alike else _words(call), []).append(i)
    distinct = Counter(calls[members[0]].kernel for members in groups.values())
    chosen: dict[int, Variant] = {}
    for members in groups.values():
        call = calls[members[0]]
        first = members[0]
        small = "size is asked for" if optimize == "size" else "a small part of the work"
        shared = Variant("shared", f"{name}_{call.kernel}", first, f"code shared: {small}")
        inline = Variant("inline", call.kernel, first, "code of its own: no other call is like it")
        if uses[call.kernel] == 1 or optimize == "speed":
            only = "speed is asked for" if uses[call.kernel] > 1 else "the only one of its kernel"
            own = f"code of its own: {only}"
            chosen |= {i: Variant("inline", call.kernel, i, own) for i in members}
        elif together and call.alike:
            kind = "shared" if len({_words(calls[i]) for i in members}) > 1 else "folded"
            why = "code shared with its like: folding would gain little"
            group = Variant(kind, f"{name}_{call.kernel}_{first}", first, why)
            chosen |= dict.fromkeys(members, inline if len(members) == 1 else group)
        elif optimize == "size" or (
            distinct[call.kernel] > MOST_FUNCTIONS
            and _share(program, members) < SMALL_SHARE * len(members)
        ):
            chosen |= dict.fromkeys(members, shared)
        elif len(members) == 1:
            chosen[first] = inline
        else:
            why = "code shared by calls that differ in addresses alone"
            folded = Variant("folded", f"{name}_{call.kernel}_{first}", first, why)
            chosen |= dict.fromkeys(members, folded)
    return _one_definition(chosen)


def _one_definition(chosen: dict[int, Variant]) -> dict[int, Variant]:
    """The words of a function are those of the first call that reaches it, for all that do."""
    first: dict[str, int] = {}
    for i in sorted(chosen):
        if chosen[i].kind == "shared":
            first.setdefault(chosen[i].function, i)
    return {
        i: replace(variant, words=first[variant.function]) if variant.kind == "shared" else variant
        for i, variant in chosen.items()
    }


def _words(call: KernelCall) -> tuple[object, ...]:
    absent = tuple(name for name, arg in call.args.items() if arg is None)
    return (call.kernel, tuple(call.params.items()), absent)


def _share(program: Program, members: list[int]) -> float:
    """Part of the model's multiply-accumulates that these calls have."""
    macs: Mapping[int, int] = {layer.index: layer.macs for layer in program.layers}
    total = sum(macs.values())
    return sum(macs[program.calls[i].layer] for i in members) / total if total else 1.0
