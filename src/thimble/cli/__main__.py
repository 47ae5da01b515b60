"""`python -m thimble.cli`."""

from thimble.cli import main

main()
