"""Program + Memory -> C. Prints only data and calls; all computing C lives in `kernels/`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

import numpy as np

from thimble.codegen import alike, interface, push, records, regions
from thimble.codegen.firmware import Firmware, FirmwareLayer, Port, TracePoint
from thimble.codegen.interface import plain_comment
from thimble.codegen.literals import array_literal, word_literal
from thimble.codegen.records import Words, words_of
from thimble.codegen.stages import cut, table_bytes
from thimble.codegen.variants import Variant, choose
from thimble.memory import Memory
from thimble.program import DTYPE_TO_C, KERNELS, Arg, KernelCall, Program, Step

_INCLUDE = re.compile(r'#include "([^"]+)"')


def c_identifier(name: str) -> str:
    """`name` as a C identifier."""
    text = re.sub(r"\W", "_", name)
    return text if text and not text[0].isdigit() else f"m_{text}"


def kernel_files(headers: Iterable[str]) -> dict[str, str]:
    """The given kernel headers and everything they include, by path below `thm/`."""
    found: dict[str, str] = {}
    todo = list(headers)
    while todo:
        header = todo.pop()
        if header in found:
            continue
        text = (KERNELS / header).read_text()
        found[header] = text
        base = header.rsplit("/", 1)[0] + "/" if "/" in header else ""
        for name in _INCLUDE.findall(text):
            todo.append(name if (KERNELS / name).exists() else posixpath.normpath(base + name))
    return dict(sorted(found.items()))


class _Emitter:
    def __init__(self, program: Program, memory: Memory, optimize: str):
        self.program = program
        self.memory = memory
        self.optimize = optimize
        self.name = c_identifier(program.name)
        self.inputs = self._ports(program.inputs, "input")
        self.outputs = self._ports(program.outputs, "output")
        self.constants = {
            i: f"{self.name}_const_{k}" for k, i in enumerate(sorted(self._used_constants()))
        }
        self.variants = choose(program, self.name, optimize)
        self.stages = cut(program)
        tabled = optimize == "size" and not memory.regions  # a record holds offsets in one arena
        self.tables = records.tables(self) if tabled else {}

    def _ports(self, indices: Sequence[int], role: str) -> tuple[Port, ...]:
        ports = []
        for port, index in enumerate(indices):
            value = self.program.values[index]
            buffer = next(
                i
                for i, b in enumerate(self.program.buffers)
                if b.port == port and b.role in (role, "port" if role == "input" else role)
            )
            at = self.memory.offsets.get(buffer)
            region = None if at is None else self.memory.region_at(at)
            ports.append(
                Port(
                    value.name,
                    role if len(indices) == 1 else f"{role}{port}",
                    value.shape,
                    value.dtype,
                    value.scale,
                    value.zero_point,
                    None if region else at,
                    regions.room(self.name, region, at or 0) if region else "",
                )
            )
        return tuple(ports)

    def _used_constants(self) -> set[int]:
        return {
            arg.buffer
            for call in self.program.calls
            for arg in call.args.values()
            if arg is not None and self.program.buffers[arg.buffer].role == "const"
        }

    def rows_function(self, call: int) -> str:
        """The function that computes rows of one call of a streamed segment."""
        return f"{self.name}_rows_{call}"

    # --- pieces -----------------------------------------------------------------------------------

    def address(self, arg: Arg, base: str = "io->", offset: str = "") -> str:
        """C expression (uint8_t pointer or typed constant) of an argument."""
        buffer = self.program.buffers[arg.buffer]
        if buffer.role == "const":
            text = self.constants.get(arg.buffer, "0")
            return f"(const uint8_t *){text}" + (f" + {arg.offset}" if arg.offset else "") + offset
        if buffer.role in ("input", "port", "output"):
            is_output = buffer.role == "output"
            port = (self.outputs if is_output else self.inputs)[buffer.port]
            const = "" if is_output else "const "
            text, total = f"({const}uint8_t *){base}{port.c_name}", arg.offset
        else:
            text, total = f"{base}arena", self.offset(arg)
            if region := self.memory.region_at(total):
                text, total = regions.array(self.name, region), total - region.base
        return text + (f" + {total}" if total else "") + offset

    def offset(self, arg: Arg) -> int:
        """Where an argument lies in the arena."""
        return arg.offset + self.memory.offsets.get(arg.buffer, 0)

    def argument(self, call: KernelCall, name: str, c_type: str, is_output: bool) -> str:
        arg = call.args[name]
        if arg is None:
            return "0"
        offset = f" + b * {arg.batch_stride}" if call.batches > 1 and arg.batch_stride else ""
        const = "" if is_output else "const "
        buffer = self.program.buffers[arg.buffer]
        if buffer.role == "const" and not arg.offset and not offset:
            if DTYPE_TO_C[buffer.dtype] == c_type:
                return self.constants[arg.buffer]
            return f"({const}{c_type} *){self.constants[arg.buffer]}"
        return f"({const}{c_type} *)(void *)({self.address(arg, offset=offset)})".replace(
            "(void *)", "(const void *)" if not is_output else "(void *)"
        )

    def params(self, index: int) -> str:
        """The words of a call: all, or for a shared function those that it reads."""
        call = self.program.calls[index]
        sig = call.signature
        variant = self.variants[index]
        is_shared = variant.kind == "shared"
        struct = f"{variant.function}_words" if is_shared else f"{sig.kernel}_params"
        return f"static const {struct} {self.name}_params_{index} = {{ {self.words(index)} }};"

    def words(self, index: int) -> str:
        """Initialisers of the words of a call."""
        call = self.program.calls[index]
        params, fields = call.signature.params, list(call.signature.params)
        if self.variants[index].kind == "shared":
            fields = list(self.own_words(self.variants[index]).types)
        return ", ".join(
            f".{field} = {word_literal(call.params[field], params[field])}" for field in fields
        )

    def own_words(self, variant: Variant) -> Words:
        """Words in which the calls of a shared function differ."""
        users = [self.program.calls[i] for i, v in self.variants.items() if v == variant]
        return words_of(users)

    def is_recorded(self, call: int) -> bool:
        """Whether a table holds the words and addresses of a call."""
        table = self.tables.get(self.variants[call].function)
        return table is not None and call in table.calls

    def call(self, step: Step, by_rows: bool = False) -> list[str]:
        call = self.program.calls[step.call]
        sig = call.signature
        variant = self.variants[step.call]
        if self.is_recorded(step.call):
            return [self.tables[variant.function].call(step.call)]
        function = variant.function
        args = [] if variant.kind == "folded" else [f"&{self.name}_params_{step.call}"]
        args += ["y_first", "y_count"] if by_rows else [str(step.y_first), str(step.y_count)]
        args += [self.argument(call, b.name, b.c_type, b.is_output) for b in sig.buffers]
        text = f"{function}({', '.join(args)});"
        if call.batches > 1:
            return [f"for (int32_t b = 0; b < {call.batches}; b++) {{", f"    {text}", "}"]
        return [text]

    def functions(self) -> list[str]:
        """The functions that several calls share, each with what it needs before it."""
        lines: list[str] = []
        for variant in dict.fromkeys(self.variants.values()):
            if variant.kind == "inline":
                continue
            call = self.program.calls[variant.words]
            sig = call.signature
            parts = [
                "int32_t y_first",
                "int32_t y_count",
                *(f"{'' if b.is_output else 'const '}{b.c_type} *{b.name}" for b in sig.buffers),
            ]
            users = [self.program.calls[i] for i, v in self.variants.items() if v == variant]
            # A buffer that no call has stays a constant null pointer: what asks for it folds.
            absent = [all(user.args[b.name] is None for user in users) for b in sig.buffers]
            given = ["0" if null else b.name for b, null in zip(sig.buffers, absent)]
            unused = [b.name for b, null in zip(sig.buffers, absent) if null]
            params, words = f"&{self.name}_params_{variant.words}", []
            if variant.kind == "folded":
                lines.append(self.params(variant.words))
            else:
                own = self.own_words(variant)
                parts.insert(0, f"const {variant.function}_words *words")
                params, words = "&p", [self.common_words(call, own)]
                members = " ".join(f"{c_type} {field};" for field, c_type in own.types.items())
                lines.append(f"typedef struct {{ {members} }} {variant.function}_words;")
            lines += [
                f"static THM_NOINLINE void {variant.function}({', '.join(parts)})",
                "{",
                *words,
                *(f"    (void){name};" for name in unused),
                f"    {sig.kernel}({params}, y_first, y_count, {', '.join(given)});",
                "}",
                "",
            ]
            if variant.function in self.tables:
                lines += records.definition(self, self.tables[variant.function])
        return lines

    def common_words(self, call: KernelCall, own: Words) -> str:
        """`p` of a shared function: its `own` words, and constants for what all calls have."""
        sig = call.signature
        fields = [
            f".{field} = "
            + (
                f"words->{own.source[field]}"
                if field in own.source
                else word_literal(call.params[field], c_type)
            )
            for field, c_type in sig.params.items()
        ]
        return f"    const {sig.kernel}_params p = {{ {', '.join(fields)} }};"

    # --- files ------------------------------------------------------------------------------------

    def stage_functions(self, layer: int) -> list[str]:
        """What to call, in order, for everything of `layer` that earlier layers did not do."""
        names = [
            f"{self.name}_segment_{i}" if stage.streamed else f"{self.name}_layer_{layer}"
            for i, stage in enumerate(self.stages)
            if stage.layer == layer
        ]
        return list(dict.fromkeys(names))

    def layers(self) -> tuple[FirmwareLayer, ...]:
        by_layer: dict[int, list[int]] = {}
        for i, call in enumerate(self.program.calls):
            by_layer.setdefault(call.layer, []).append(i)
        found = []
        for layer in self.program.layers:
            calls = [self.program.calls[i] for i in by_layer.get(layer.index, [])]
            weights = {
                arg.buffer
                for call in calls
                for arg in call.args.values()
                if arg is not None and arg.buffer in self.constants
            }
            outputs = tuple(
                TracePoint(v.name, v.shape, v.dtype, self.address(v.arg), v.scale, v.zero_point)
                for v in (self.program.values[t] for t in layer.outputs)
                if v.is_whole
            )
            functions = [
                self.rows_function(step.call)
                for stage in self.stages
                for step in stage.first_steps
                if stage.streamed and self.program.calls[step.call].layer == layer.index
            ]
            if any(s.layer == layer.index and not s.streamed for s in self.stages):
                functions.append(f"{self.name}_layer_{layer.index}")
            found.append(
                FirmwareLayer(
                    layer.index,
                    layer.op,
                    layer.name,
                    tuple(functions),
                    tuple(self.stage_functions(layer.index)),
                    tuple(dict.fromkeys(call.kernel for call in calls)),
                    bool(calls)
                    and all(
                        self.variants[i].kind != "shared" for i in by_layer.get(layer.index, [])
                    ),
                    layer.macs,
                    sum(self.program.buffers[i].bytes for i in weights),
                    sum(
                        int(np.prod(p.shape, dtype=np.int64)) * np.dtype(p.dtype).itemsize
                        for p in outputs
                    ),
                    outputs,
                )
            )
        return tuple(found)

    def declare(self, port: Port, is_output: bool) -> str:
        return interface.declare(port, is_output)

    def header(self) -> str:
        return interface.header(
            self.name,
            max(self.memory.given_bytes, 1),
            self.memory.align,
            len(self.program.layers),
            self.inputs,
            self.outputs,
            [*push.prototypes(self), *regions.declarations(self)],
        )

    def source(self, self_test: str) -> str:
        name = self.name
        used_headers = sorted({call.signature.header for call in self.program.calls})
        lines = [
            f"/* {name}: generated by Thimble. Do not edit.",
            f" * {len(self.program.layers)} layers,"
            f" {sum(x.macs for x in self.program.layers)} MACs,"
            f" arena {self.memory.arena_bytes} bytes. */",
            f'#include "{name}.h"',
            *alike.definitions(self.program, kernel_files(used_headers).values()),
            *(f'#include "thm/{header}"' for header in used_headers),
            "",
        ]
        for i, const in self.constants.items():
            buffer = self.program.buffers[i]
            assert buffer.data is not None
            c_type = DTYPE_TO_C[buffer.dtype]
            lines.append(f"/* {plain_comment(buffer.name)} */")
            lines.append(
                f"static const {c_type} {const}[{max(buffer.data.size, 1)}]"
                f" THM_WEIGHTS __attribute__((aligned({buffer.align}))) = {{"
            )
            lines.append(array_literal(buffer.data, c_type))
            lines.append("};")
        lines.append("")
        lines += regions.definitions(self)
        lines += self.functions()
        streamed = {step.call for s in self.stages if s.streamed for step in s.steps}
        for layer in self.program.layers:
            comment = plain_comment(
                f"layer {layer.index} {layer.op} `{layer.name}` {layer.comment}"
            )
            stages = [s for s in self.stages if s.layer == layer.index and not s.streamed]
            steps = [step for stage in stages for step in stage.steps]
            calls = [i for i in sorted(streamed) if self.program.calls[i].layer == layer.index]
            lines += [
                self.params(i)
                for i in (*calls, *(step.call for step in steps))
                if self.variants[i].kind != "folded" and not self.is_recorded(i)
            ]
            for i in calls:
                lines += [
                    f"/* {comment}, by rows */",
                    f"THM_LAYER void {self.rows_function(i)}(const {name}_io *io, "
                    "int32_t y_first, int32_t y_count)",
                    "{",
                    "    (void)io;",
                    *(f"    {text}" for text in self.call(Step(i, 0, 0), by_rows=True)),
                    "}",
                    "",
                ]
            if steps:
                lines += [
                    f"/* {comment} */",
                    f"THM_LAYER void {name}_layer_{layer.index}(const {name}_io *io)",
                    "{",
                    "    (void)io;",
                    *(f"    {text}" for step in steps for text in self.call(step)),
                    "}",
                    "",
                ]
            elif not calls:
                lines += [f"/* {comment}: shares memory, needs no code */", ""]
        for i, stage in enumerate(self.stages):
            if stage.streamed:
                lines += push.segment(self, i, stage)
        initialisers = ["(uint8_t *)arena", *(p.c_name for p in (*self.inputs, *self.outputs))]
        lines.append(f"void {name}_run({interface.run_parameters(self.inputs, self.outputs)})")
        lines.append("{")
        lines.append(f"    const {name}_io io = {{ {', '.join(initialisers)} }};")
        lines.append("    (void)io;")
        for layer in self.program.layers:
            lines += [f"    {function}(&io);" for function in self.stage_functions(layer.index)]
        lines += ["}", ""]
        lines += push.functions(self)
        for role, ports in (("inputs", self.inputs), ("outputs", self.outputs)):
            lines += interface.tensor_info(name, role, ports)
        lines.append(self_test)
        return "\n".join(lines)


def emit(program: Program, memory: Memory, optimize: str = "auto", self_test: str = "") -> Firmware:
    """The C of a planned program. `self_test` is the text that `selftest.emit` made, if any."""
    emitter = _Emitter(program, memory, optimize)
    headers = {call.signature.header for call in program.calls} | {"model.h"}
    files = {f"thm/{path}": text for path, text in kernel_files(headers).items()}
    files[f"{emitter.name}.h"] = emitter.header()
    files[f"{emitter.name}.c"] = emitter.source(self_test)
    return Firmware(
        emitter.name,
        files,
        emitter.inputs,
        emitter.outputs,
        emitter.layers(),
        max(memory.given_bytes, 1),
        memory.align,
        memory.state_bytes,
        sum(program.buffers[i].bytes for i in emitter.constants) + table_bytes(emitter.stages),
        sum(layer.macs for layer in program.layers),
        any("<math.h>" in text for path, text in files.items() if path.startswith("thm/")),
        region_bytes={region.name: region.bytes for region in memory.regions[1:]},
    )
