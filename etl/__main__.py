"""`python -m etl`: the same as `claimpost`."""

from etl.cli import main

main(prog_name="claimpost")
