"""Thimble: fits trained neural networks into microcontrollers.

What is named here is public; nothing else is.
"""

from __future__ import annotations

__version__ = "0.1.0"
