#!/usr/bin/env bash
# The README's second command: installs Thimble with what its tests need into .venv, checks format,
# lint and types, and runs the tests on all cores.
set -euo pipefail
cd "$(dirname "$0")"

python="${PYTHON:-python3}"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test]'

.venv/bin/ruff format --check --quiet .
.venv/bin/ruff check --quiet .
.venv/bin/mypy
exec .venv/bin/python -m pytest -n "$(nproc)" --dist worksteal "$@"
