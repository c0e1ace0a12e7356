"""The rules of the house that a machine can hold: layers, sizes, hazards, skips. Each finding is `file:line what`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
CODE = ("etl", "validations", "dags", "plugins", "sandbox", "bench")
PRODUCT = ("etl", "validations", "dags", "plugins")
MODULE_LINES_MAX, DAG_LINES_MAX, FUNCTION_LINES_MAX, FUNCTION_LINES_USUAL = 500, 120, 60, 30

# Who may import whom: only what stands in an earlier row; rows 0 to 2 also their own row. docs: architecture.
LAYERS = (
    ("etl.errors", "etl.money", "etl.model", "etl.days", "etl.config", "etl.masking"),
    ("etl.lookup", "etl.refusals", "validations.schemas", "validations.rules"),
    (
        "etl.formats",
        "etl.clean",
        "etl.mapping",
        "etl.journal",
        "etl.reversal",
        "etl.render",
        "etl.reconcile",
        "etl.report",
        "etl.shadow",
        "etl.versions",
    ),
    ("etl.transport",),
    ("etl.sources", "etl.lists", "etl.erp", "etl.store", "etl.airflow_api", "validations.checkpoints"),
    ("etl.mode", "etl.reasons"),
    ("etl.listing",),
    ("etl.pipeline", "etl.rerun"),
    ("etl.console", "etl.airflow_tasks", "sandbox.airflow_home"),
    ("etl.cli_operations",),
    ("etl.cli", "dags", "plugins", "sandbox.demo", "sandbox.ui", "sandbox.tryout"),
)
PURE = 2
STARTERS = len(LAYERS) - 3
ROW = {module: row for row, modules in enumerate(LAYERS) for module in modules}
# The simulators share no code with what they test; the sample may use the vocabulary.
ROW |= {
    "sandbox.sample": 1,
    "sandbox.erp": -1,
    "sandbox.concur_sae": -1,
    "sandbox.tryton": -1,
    "etl.__main__": len(LAYERS),
    "bench.process": len(LAYERS),
    "sandbox.fleet": len(LAYERS),
    "bench.claimpost_way": len(LAYERS),
    "bench.limit": len(LAYERS),
    "bench.pandas_way": len(LAYERS),
    "bench.__main__": len(LAYERS) + 1,
    "bench.quick": len(LAYERS) + 2,
    "bench.year": len(LAYERS) + 2,
    "bench.report": len(LAYERS) + 2,
    "bench.start": len(LAYERS) + 2,
    "bench.wide": len(LAYERS) + 1,
    "bench.sizing": len(LAYERS) + 2,
}
EFFECTS = {"random", "secrets", "socket", "subprocess", "sqlalchemy", "paramiko", "psycopg", "pymysql", "time", "uuid"}
MONEY = ("etl.money", "etl.model", "etl.mapping", "etl.journal", "etl.render", "etl.reconcile")
REMOTE = ("etl.transport", "etl.sources", "etl.erp")
SQL = ("execute", "executemany", "exec_driver_sql", "read_sql", "text")


def sources(*folders: str) -> list[tuple[str, str]]:
    """Path inside the project and text of every Python file of these folders."""
    paths = [path for folder in folders for path in sorted((PROJECT / folder).rglob("*.py"))]
    return [(path.relative_to(PROJECT).as_posix(), path.read_text("utf-8")) for path in paths]


def module_of(path: str) -> str:
    """etl/erp/table.py -> etl.erp; dags/x.py -> dags: the name under which the layers know a file."""
    parts = Path(path).with_suffix("").parts
    return parts[0] if parts[0] in ("dags", "plugins") else ".".join(parts[:2])


def imports(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Line, dotted name and whether it happens when the module is loaded, of every import."""
    inside = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING")
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, id(node) not in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}" if base in CODE else base, id(node) not in inside


def import_findings(path: str, text: str) -> Iterator[str]:
    """Imports that point down the layers, or reach for what only one layer may touch."""
    module = module_of(path)
    if module.endswith("__init__"):
        return
    row = ROW.get(module)
    if row is None:
        yield f"{path}:1 {module} stands in no layer: add it to LAYERS where it belongs"
        return
    for line, name, at_load in imports(ast.parse(text)):
        target, top = ".".join(name.split(".")[:2]), name.split(".")[0]
        ours = top in CODE
        if ours and target != module and not (ROW.get(target, 99) < row or ROW.get(target) == row <= PURE):
            yield f"{path}:{line} {module} must not import {target}"
        if top == "airflow" and row < STARTERS:
            yield f"{path}:{line} airflow belongs in dags, plugins and etl.airflow_tasks only"
        if top == "great_expectations" and (at_load or module != "validations.checkpoints"):
            yield f"{path}:{line} great_expectations belongs inside one function of validations.checkpoints"
        if module == "dags" and at_load and top in ("pandas", "sqlalchemy", "paramiko", "pandera", "pyarrow"):
            yield f"{path}:{line} {top} is heavy: import it inside the task"
        if ours is False and 0 <= row <= PURE and top in EFFECTS and module.startswith(("etl", "validations")):
            yield f"{path}:{line} {top} has no place in the pure core"


def hazards(path: str, text: str) -> Iterator[str]:
    """Calls and constants that lose money, text or safety without a word."""
    module = module_of(path)
    for node in ast.walk(ast.parse(text)):
        problem = ""
        if isinstance(node, ast.Call):
            problem = call_hazard(node, module)
        elif isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else ""
            if caught in ("", "BaseException") or (caught == "Exception" and module != "etl.pipeline"):
                problem = f"except {caught or 'everything'}: name what can go wrong"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float) and module in MONEY:
            problem = "a float next to money"
        elif isinstance(node, ast.Attribute) and node.attr in ("AutoAddPolicy", "style", "to_excel"):
            problem = "" if ast.unparse(node) == "click.style" else f".{node.attr}"
        elif isinstance(node, ast.Import) and any(alias.name in ("pickle", "marshal") for alias in node.names):
            problem = "pickle runs what it reads"
        if problem:
            yield f"{path}:{getattr(node, 'lineno', 1)} {problem}"


# Who may read text as a table: the formats of sources, and what a database says (columns of declared kinds).
READERS = ("etl.formats", "etl.transport")


def call_hazard(node: ast.Call, module: str) -> str:
    """What is wrong with one call, or nothing."""
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = method or (node.func.id if isinstance(node.func, ast.Name) else "")
    values = {k.arg: k.value.value for k in node.keywords if k.arg and isinstance(k.value, ast.Constant)}
    named = {k.arg for k in node.keywords}
    built = bool(node.args) and (
        isinstance(node.args[0], ast.JoinedStr)
        or (isinstance(node.args[0], ast.BinOp) and isinstance(node.args[0].left, ast.Constant))
    )
    forbidden = (
        (method in ("read_csv", "read_excel", "read_json") and module not in READERS, f"{method} outside the reader"),
        (values.get("coerce") is True, "coerce=True changes values without a word"),
        ("drop_invalid_rows" in named or values.get("strict") == "filter", "drops what it does not like"),
        (method == "merge" and "validate" not in named, ".merge without validate="),
        (method == "groupby" and values.get("dropna") is not False, ".groupby without dropna=False"),
        (name == "float" and not method, "float("),
        (method in ("now", "utcnow", "today") and ROW.get(module, 9) <= PURE, "a clock in the pure core"),
        (
            method in ("put", "store_file", "rename") and bool(node.args) and module in REMOTE,
            f".{method} is not atomic",
        ),
        (values.get("errors") in ("ignore", "replace"), "errors= hides broken text"),
        (name in ("eval", "exec") or ast.unparse(node.func) in ("yaml.load", "pickle.loads"), f"{name} runs its input"),
        (name in SQL and built, "SQL from a built string"),
        (values.get("verify") is False, "verify=False"),
        (name == "print" and not method, "print: the command line uses click.echo"),
        (method == "to_html" and values.get("escape") is False, "to_html(escape=False)"),
    )
    return next((problem for found, problem in forbidden if found), "")


def size_findings(files: list[tuple[str, str]]) -> Iterator[str]:
    """Modules, DAG files and functions beyond the bars, and too many functions near them."""
    lengths = []
    for path, text in files:
        lines, limit = text.count("\n"), DAG_LINES_MAX if path.startswith("dags/") else MODULE_LINES_MAX
        if lines > limit:
            yield f"{path}:1 {lines} lines, at most {limit}: make it a package of the same name"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                lengths.append((length, f"{path}:{node.lineno} {node.name} has {length} lines"))
    yield from (f"{where}, at most {FUNCTION_LINES_MAX}" for length, where in lengths if length > FUNCTION_LINES_MAX)
    long = [where for length, where in lengths if length > FUNCTION_LINES_USUAL]
    if len(long) * 10 > len(lengths):
        yield from (f"{where}; more than one function in ten is over {FUNCTION_LINES_USUAL}" for where in long)


def skip_findings(path: str, text: str) -> Iterator[str]:
    """Tests that are skipped without a reason, or expected to fail."""
    for node in ast.walk(ast.parse(text)):
        name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if name == "pytest.mark.xfail":
            yield f"{path}:{node.lineno} xfail: mend it or drop it"
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith("pytest."):
            continue
        name = ast.unparse(node.func)
        reason = next((k.value for k in node.keywords if k.arg == "reason"), None)
        if name == "pytest.skip" and not (node.args or reason):
            yield f"{path}:{node.lineno} pytest.skip without a reason"
        if name in ("pytest.mark.skip", "pytest.mark.skipif") and reason is None:
            yield f"{path}:{node.lineno} {name} without a reason"


def test_imports_go_one_way() -> None:
    assert [finding for file in sources(*CODE) for finding in import_findings(*file)] == []


def test_no_hazard_stands_in_the_product() -> None:
    assert [finding for file in sources(*PRODUCT) for finding in hazards(*file)] == []


def test_modules_and_functions_fit_on_a_screen() -> None:
    assert list(size_findings(sources(*CODE))) == []


def test_every_skipped_test_says_why() -> None:
    assert [finding for file in sources("tests") for finding in skip_findings(*file)] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etl/journal.py", "from etl import erp"),
        ("etl/sources.py", "from etl.store import Store"),
        ("etl/clean.py", "import airflow.sdk"),
        ("etl/clean.py", "import sqlalchemy"),
        ("etl/surprise.py", "import json"),
        ("validations/checkpoints.py", "import great_expectations"),
        ("sandbox/erp.py", "from etl.money import parse"),
        ("dags/feeds.py", "import pandas"),
    ],
)
def test_an_import_the_wrong_way_is_found(path: str, text: str) -> None:
    assert [finding.split(" ")[0] for finding in import_findings(path, text)] == [f"{path}:1"]


@pytest.mark.parametrize(
    "text",
    [
        "pd.read_csv(f)",
        "pa.Column(str, coerce=True)",
        "pa.DataFrameSchema({}, drop_invalid_rows=True)",
        "pa.DataFrameSchema({}, strict='filter')",
        "a.merge(b, on='k')",
        "a.groupby('k')",
        "a.groupby('k', dropna=True)",
        "x = float(y)",
        "rate = 1.5",
        "at = datetime.now(UTC)",
        "open(f, errors='replace')",
        "yaml.load(f)",
        "eval(f)",
        "import pickle",
        "try:\n    x\nexcept:\n    y",
        "try: x\nexcept Exception: y",
        "connection.execute(f'DELETE FROM {table}')",
        "text('SELECT %s' % name)",
        "get(url, verify=False)",
        "paramiko.AutoAddPolicy()",
        "print(x)",
        "frame.to_html(escape=False)",
        "frame.style",
        "frame.to_excel(f)",
    ],
)
def test_a_hazard_is_found(text: str) -> None:
    assert len(list(hazards("etl/journal.py", text))) == 1


def test_a_rename_that_is_not_atomic_is_found_at_the_server_only() -> None:
    calls = "sftp.rename(a, b)\nframe.rename(columns=names)\nsftp.posix_rename(a, b)"

    assert list(hazards("etl/erp/sftp.py", calls)) == ["etl/erp/sftp.py:1 .rename is not atomic"]


def test_a_file_and_a_function_beyond_the_bars_are_found() -> None:
    function = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX

    assert [finding.split(" ")[0] for finding in size_findings([("dags/f.py", function * 2)])] == [
        "dags/f.py:1",
        "dags/f.py:1",
        "dags/f.py:62",
        "dags/f.py:1",
        "dags/f.py:62",
    ]


@pytest.mark.parametrize("text", ["pytest.skip()", "@pytest.mark.skipif(x)\ndef f(): ...", "y = pytest.mark.xfail"])
def test_a_skip_without_a_reason_is_found(text: str) -> None:
    assert len(list(skip_findings("tests/test_f.py", text))) == 1
