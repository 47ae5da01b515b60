"""python -m thimble.explain > docs/explain.md"""

from __future__ import annotations

import sys

from thimble.explain.document import markdown

sys.stdout.write(markdown())
