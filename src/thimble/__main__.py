"""`python -m thimble`."""

from thimble.cli import main

main()
