"""The shape of the code: who may import whom, and what every file has."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from thimble import ops
from thimble.program import KERNELS, signatures

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "thimble"
LONGEST_FILE = 440  # lines; about 400 is what one reading holds
FORBIDDEN = {  # folder -> modules it must not import
    "ops": ("thimble.codegen", "thimble.plan", "thimble.runners", "thimble.memory"),
    "plan": ("thimble.graph", "thimble.ops", "thimble.program", "thimble.codegen", "thimble.lower"),
    "codegen": ("thimble.graph", "thimble.ops", "thimble.formats", "thimble.passes"),
    "passes": ("thimble.codegen",),
    "formats": ("thimble.codegen", "thimble.plan", "thimble.runners"),
}


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, but for type checking alone."""
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(child for part in node.body for child in ast.walk(part))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_arrows_point_one_way(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((SOURCE / folder).rglob("*.py"))
        for module in imports(path)
        if any(module == bad or module.startswith(bad + ".") for bad in FORBIDDEN[folder])
    ]
    assert not wrong


def test_every_kernel_has_a_twin_with_its_arguments() -> None:
    twins = ops.all_twins()
    for kernel, signature in signatures().items():
        assert kernel in twins, f"{signature.header}: {kernel} has no NumPy twin"
        names = twins[kernel].__code__.co_varnames[: twins[kernel].__code__.co_argcount]
        assert names[3:] == tuple(b.name for b in signature.buffers), kernel
    assert set(twins) <= set(signatures())


def test_every_op_is_found_once_under_its_name() -> None:
    names = [
        value.name
        for module in ops._modules()
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ops.Op)
        and "name" in vars(value)
        and value.__module__ == module.__name__
    ]
    assert len(names) == len(set(names))
    assert len(names) > 60


@pytest.mark.parametrize("header", sorted(p.name for p in KERNELS.glob("*.h")))
def test_headers_compile_alone(header: str, tmp_path: Path) -> None:
    unit = tmp_path / "unit.c"
    unit.write_text(
        f'#include "{header}"\nint unit(void);\nint unit(void)\n{{\n    return 0;\n}}\n'
    )
    flags = "-std=c11 -Wall -Wextra -Wconversion -Werror -ffreestanding -fsyntax-only"
    done = subprocess.run(
        ["gcc", *flags.split(), f"-I{KERNELS}", str(unit)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_public_functions_have_docstrings() -> None:
    missing = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                is_op = path.parent.name == "ops" and isinstance(node, ast.ClassDef)
                if not is_op and ast.get_docstring(node) is None:
                    missing.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not missing


def test_no_file_outgrows_one_reading() -> None:
    files = [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.h"), *(ROOT / "tests").rglob("*.py")]
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert not long


def test_no_folder_is_a_junk_drawer() -> None:
    junk = {"utils", "helpers", "common", "misc", "core", "manager"}
    assert not [p for p in SOURCE.rglob("*") if p.stem in junk]


def test_test_files_have_names_of_their_own() -> None:
    """pytest imports them by their bare names: two of one name cannot be collected together."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})
