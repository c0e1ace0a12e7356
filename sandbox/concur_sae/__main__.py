"""python -m sandbox.concur_sae --out DIR [--fault NAME]"""

from __future__ import annotations

import argparse
from pathlib import Path

from sandbox.concur_sae.examples import ADVANCES, CLAIMS
from sandbox.concur_sae.files import FAULTS, Extract, file_content, file_name


def main() -> None:
    """Write one extract of the published use cases into a folder."""
    parser = argparse.ArgumentParser(prog="sandbox.concur_sae", description="Write a Standard Accounting Extract.")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--batch-id", type=int, default=1, help="batch id, from 1")
    parser.add_argument("--date", default="2026-03-02", help="batch date")
    parser.add_argument("--fault", choices=sorted(FAULTS), help="spoil the file in this way")
    options = parser.parse_args()
    extract = Extract(options.batch_id, options.date, CLAIMS, ADVANCES)
    content = file_content(extract)
    path = options.out / file_name(extract)
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_bytes(FAULTS[options.fault](content) if options.fault else content)
    print(path)


main()
