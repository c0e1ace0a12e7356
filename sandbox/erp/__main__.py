"""`python -m sandbox.erp`."""

from sandbox.erp.command import main

main(prog_name="python -m sandbox.erp")
