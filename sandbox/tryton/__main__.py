"""`python -m sandbox.tryton`, by Tryton's own Python."""

from sandbox.tryton.command import main

main()
