"""The limit: read the delivery with the fastest parser and COPY rows that are ready; nothing is checked or mapped."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv

BLOCK = 1 << 20


def main(delivery: str, url: str, scratch: str) -> None:
    """In: `staged.csv` under scratch, what the product staged (`keep`); it goes into a table of the same columns."""
    for path in sorted(Path(delivery).glob("*.csv")):
        # The trailer has fewer fields than the header says.
        parse = pa.csv.ParseOptions(invalid_row_handler=lambda _: "skip")
        pa.csv.read_csv(path, parse_options=parse, convert_options=pa.csv.ConvertOptions(column_types=texts(path)))
    with (
        psycopg.connect(libpq(url)) as connection,
        (Path(scratch) / "staged.csv").open("rb") as rows,
        connection.cursor().copy("COPY bench_limit FROM STDIN (FORMAT csv)") as copy,
    ):
        while block := rows.read(BLOCK):
            copy.write(block)


def texts(path: Path) -> dict[str, pa.DataType]:
    """Every column as text: an account is no number."""
    with path.open(encoding="utf-8") as lines:
        return dict.fromkeys(lines.readline().rstrip("\n").split(","), pa.string())


def keep(url: str, scratch: Path) -> int:
    """Keep what the product staged as the limit's input, with an empty table beside it; returns its rows."""
    with psycopg.connect(libpq(url)) as connection, (scratch / "staged.csv").open("wb") as out:
        connection.execute("DROP TABLE IF EXISTS bench_limit")
        connection.execute("CREATE TABLE bench_limit (LIKE gl_interface)")
        with connection.cursor().copy("COPY gl_interface TO STDOUT (FORMAT csv)") as copy:
            for block in copy:
                out.write(block)
        found = connection.execute("SELECT count(*) FROM gl_interface").fetchone()
    return int(found[0]) if found else 0


def libpq(url: str) -> str:
    """The address as libpq reads it: without SQLAlchemy's name of the driver."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


if __name__ == "__main__":
    main(*sys.argv[1:4])
