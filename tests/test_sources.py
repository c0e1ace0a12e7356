"""Which files are complete, and that no byte is released before it is landed; on a folder and on a real SFTP server."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import servers

from etl import sources, transport
from etl.errors import ConfigurationError, PermanentError, TransientError
from etl.transport import FileInfo, Folder, LocalFolder, connection, sftp, use_resolver
from etl.transport.failpoints import VARIABLE

PROJECT = Path(__file__).resolve().parent.parent
PATTERN = r"expenses_(?P<period>[0-9]{4}-[0-9]{2})\.csv"
NAME, CONTENT = "expenses_2026-03.csv", "report,amount\nR1,1.00\nR2,差旅\n".encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["folder", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Folder, Path]]:
    """An open source folder, and where it lies on this machine."""
    if request.param == "folder":
        inbox = tmp_path / "inbox"
        inbox.mkdir()
        yield LocalFolder(inbox), inbox
        return
    server = request.getfixturevalue("sftp_server")
    with transport.folder(transport.connections.from_text("inbox", server.uri(server.folder))) as session:
        yield session, server.folder


def put(folder: Path, name: str, content: bytes = CONTENT, age_seconds: int = 3600) -> Path:
    path = folder / name
    path.write_bytes(content)
    then = time.time() - age_seconds
    os.utime(path, (then, then))
    return path


def put_ok(folder: Path, name: str = NAME, content: bytes = CONTENT) -> None:
    put(folder, name + ".ok", f"{len(content)} {hashlib.sha256(content).hexdigest()}\n".encode())


def names(found: sources.Found) -> list[str]:
    return [info.name for info in found.files]


# --- which files are complete


def test_b115_a_file_waits_for_its_sidecar(place: tuple[Folder, Path]) -> None:
    session, inbox = place
    put(inbox, NAME)
    before = sources.find(session, PATTERN, "ok_file")
    put_ok(inbox)

    assert (names(before), names(sources.find(session, PATTERN, "ok_file"))) == ([], [NAME])


@pytest.mark.parametrize(
    ("sidecar", "detail"),
    [
        (b"", "does not hold"),
        (b"OK\n", "does not hold"),
        (f"{len(CONTENT)} {'A' * 64}".encode(), "does not hold"),
        (b"\xff\xfe1 2", "does not hold"),
        (f"{len(CONTENT) + 1} {SHA256}".encode(), "the .ok file says"),
        (f"{len(CONTENT)} {'0' * 64}".encode(), "another sha256"),
    ],
)
def test_b115_a_sidecar_that_contradicts_its_file_refuses_it(
    place: tuple[Folder, Path], sidecar: bytes, detail: str
) -> None:
    session, inbox = place
    put(inbox, NAME)
    put(inbox, NAME + ".ok", sidecar)

    found = sources.find(session, PATTERN, "ok_file")

    assert found.files == ()
    assert [(info.name, fault.code, detail in str(fault)) for info, fault in found.refused] == [(NAME, "SIDECAR", True)]


def test_a_growing_file_waits_until_it_has_settled(place: tuple[Folder, Path]) -> None:
    session, inbox = place
    put(inbox, NAME, age_seconds=5)

    assert names(sources.find(session, PATTERN, "settled", settle_seconds=60)) == []
    assert names(sources.find(session, PATTERN, "settled", settle_seconds=2)) == [NAME]


def test_b112_b113_b114_only_whole_plain_finished_names_are_taken(place: tuple[Folder, Path]) -> None:
    session, inbox = place
    odd = (
        "expenses_2026-03.csv.part", "expenses_2026-03.csv.filepart", "expenses_2026-03.csv.tmp",
        "expenses_2026-03.csv~", ".expenses_2026-03.csv", "Expenses_2026-03.csv", "xexpenses_2026-03.csv",
        "expenses_2026-03.csv\n",
        "expenses_2026-03.csv\\x", "readme.txt",
    )  # fmt: skip
    for name in odd:
        put(inbox, name)
    (inbox / "expenses_2026-01.csv").mkdir()
    (inbox / "expenses_2026-02.csv").symlink_to("/etc/hostname")
    os.mkfifo(inbox / "expenses_2026-05.csv")
    put(inbox, NAME)
    put_ok(inbox)

    found = sources.find(session, PATTERN, "now")

    assert names(found) == [NAME]
    assert found.ignored == tuple(sorted(odd))
    assert names(sources.find(session, r"(?s:.*)", "now")) == sorted(
        [NAME, "Expenses_2026-03.csv", "xexpenses_2026-03.csv", "readme.txt"]
    )


def test_b115_data_without_its_sidecar_and_a_sidecar_alone_are_seen_to_wait(place: tuple[Folder, Path]) -> None:
    session, folder = place
    for name in ("a.csv", "a.csv.ok", "b.csv", "c.csv.ok", "notes.txt"):
        (folder / name).write_bytes(b"x")
    seen = sources.look(session, "[a-z][.]csv", sources.OK_FILE)

    assert (["a.csv"], ("b.csv", "c.csv.ok"), ("notes.txt",)) == (
        [info.name for info in seen.ready],
        seen.waiting,
        seen.ignored,
    )


def test_b116_files_come_in_order_of_name_and_no_more_than_agreed(place: tuple[Folder, Path]) -> None:
    session, inbox = place
    for month in ("03", "01", "02"):
        put(inbox, f"expenses_2026-{month}.csv", age_seconds=int(month))

    assert names(sources.find(session, PATTERN, "now", files_max=2)) == ["expenses_2026-01.csv", "expenses_2026-02.csv"]


class _Server(LocalFolder):
    """A server that names what it likes."""

    def files(self, under: str = "") -> list[FileInfo]:
        return [FileInfo(name, 1, 0) for name in self.names]

    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    "name",
    ["../x.csv", "..%2fx.csv", "a/b.csv", "/etc/x.csv", "a\\b.csv", "x\n.csv", "x\0.csv", "x\u202e.csv", "x\udcff.csv",
     "x" * 237 + ".csv", "长" * 79 + ".csv"],
)  # fmt: skip
def test_b112_a_name_that_is_no_plain_file_name_is_left_alone(tmp_path: Path, name: str) -> None:
    server = _Server(tmp_path)
    server.names = (name, "good.csv")
    found = sources.find(server, r"(?s:.*)", "now")

    assert (["good.csv"], (name,)) == (names(found), found.ignored)


@pytest.mark.parametrize("name", ["-rf.csv", "a..%2fx.csv", "%2e%2e.csv", "$(id).csv", "x" * 236 + ".csv"])
def test_b112_an_odd_name_is_landed_under_the_sha256_alone(
    place: tuple[Folder, Path], tmp_path: Path, name: str
) -> None:
    session, inbox = place
    put(inbox, name)
    put_ok(inbox, name)
    (info,) = sources.find(session, r".*\.csv", "ok_file").files
    sources.land(session, info, tmp_path / "landing", lambda *_: None, "archive")

    assert [SHA256] == [path.name for path in (tmp_path / "landing").iterdir()]
    assert [f"{SHA256[:8]}_{name}", f"{SHA256[:8]}_{name}.ok"] == sorted(
        path.name for path in (inbox / "archive").iterdir()
    )


def test_b115_a_sidecar_alone_is_nothing(place: tuple[Folder, Path]) -> None:
    session, inbox = place
    put_ok(inbox)

    assert sources.Found((), alone=(f"{NAME}.ok",)) == sources.find(session, PATTERN, "ok_file")


@pytest.mark.parametrize("landed", [True, False])
def test_a_sidecar_that_a_killed_run_left_behind_is_released_once_its_file_is_landed(
    place: tuple[Folder, Path], landed: bool
) -> None:
    session, inbox = place
    put_ok(inbox)
    (inbox / "odd.ok").write_text("no sidecar")
    asked: list[tuple[str, str]] = []
    names = [f"{NAME}.ok", "odd.ok", "gone.ok"]
    sources.release_alone(session, names, lambda *one: asked.append(one) or landed, "archive")

    assert [(SHA256, NAME)] == asked
    assert (inbox / f"{NAME}.ok").exists() is not landed
    assert (inbox / "archive" / f"{SHA256[:8]}_{NAME}.ok").exists() is landed


def test_a_sidecar_whose_file_has_come_again_stays_with_it(place: tuple[Folder, Path]) -> None:
    session, inbox = place
    put(inbox, NAME)
    put_ok(inbox)
    sources.release_alone(session, [f"{NAME}.ok"], lambda *_: True, "delete")

    assert (inbox / f"{NAME}.ok").exists()


def test_b116_of_twenty_thousand_files_a_run_takes_the_agreed_number(tmp_path: Path) -> None:
    expected = [f"expenses_{number:04}-01.csv" for number in range(1000)]
    for number in range(20_000):
        (tmp_path / f"expenses_{number % 10_000:04}-{1 + number // 10_000:02}.csv").touch()
    found = sources.find(LocalFolder(tmp_path), PATTERN, "now", files_max=1000)

    assert sorted(expected + [name.replace("-01", "-02") for name in expected])[:1000] == names(found)


def test_an_empty_folder_has_nothing(place: tuple[Folder, Path]) -> None:
    assert sources.find(place[0], PATTERN, "ok_file") == sources.Found(())


# --- input given by hand


def test_input_is_every_fitting_file_below_a_folder_in_order_of_path(tmp_path: Path) -> None:
    for folder in ("b", "a"):
        (tmp_path / folder).mkdir()
        put(tmp_path / folder, NAME)
    put_ok(tmp_path / "a")
    put(tmp_path / "a", "notes.txt")
    put(tmp_path, "expenses_2026-01.csv")

    found, ignored = sources.find_input(tmp_path, PATTERN)

    assert [Path(session.label, info.name) for session, info in found] == [
        tmp_path / "expenses_2026-01.csv",
        tmp_path / "a" / NAME,
        tmp_path / "b" / NAME,
    ]
    assert ignored == ["notes.txt"]


def test_input_may_be_one_file(tmp_path: Path) -> None:
    found, ignored = sources.find_input(put(tmp_path, NAME), PATTERN)

    assert ([info.name for _, info in found], ignored) == ([NAME], [])
    assert sources.find_input(put(tmp_path, "notes.txt"), PATTERN) == ([], ["notes.txt"])


# --- landing


def test_a_file_is_landed_under_its_sha256_before_the_receipt_and_released_after_it(
    place: tuple[Folder, Path], tmp_path: Path
) -> None:
    session, inbox = place
    put(inbox, NAME)
    put_ok(inbox)
    seen: list[object] = []

    def register(sha256: str, size: int) -> None:
        seen.extend([sha256, size, (landing / sha256).read_bytes(), (inbox / NAME).exists()])

    landing = tmp_path / "landing"
    (info,) = sources.find(session, PATTERN, "ok_file").files

    assert sources.land(session, info, landing, register, "archive") == SHA256
    assert seen == [SHA256, len(CONTENT), CONTENT, True]
    assert sorted(path.name for path in inbox.iterdir()) == ["archive"]
    archived = [f"{SHA256[:8]}_{NAME}", f"{SHA256[:8]}_{NAME}.ok"]
    assert sorted(path.name for path in (inbox / "archive").iterdir()) == archived


def test_landed_bytes_are_for_us_alone(place: tuple[Folder, Path], tmp_path: Path) -> None:
    session, inbox = place
    put(inbox, NAME)
    (info,) = sources.find(session, PATTERN, "now").files

    sources.land(session, info, tmp_path / "landing", lambda *_: None)

    assert oct((tmp_path / "landing").stat().st_mode & 0o777) == "0o700"
    assert [(p.name, oct(p.stat().st_mode & 0o777)) for p in (tmp_path / "landing").iterdir()] == [(SHA256, "0o600")]


@pytest.mark.parametrize(("release", "left"), [("keep", [NAME]), ("delete", []), ("archive", ["archive"])])
def test_the_source_is_released_as_the_feed_says(
    place: tuple[Folder, Path], tmp_path: Path, release: str, left: list[str]
) -> None:
    session, inbox = place
    put(inbox, NAME)
    (info,) = sources.find(session, PATTERN, "now").files

    sources.land(session, info, tmp_path / "landing", lambda *_: None, release)

    assert sorted(path.name for path in inbox.iterdir()) == left


def test_nothing_is_released_when_the_receipt_fails(place: tuple[Folder, Path], tmp_path: Path) -> None:
    session, inbox = place
    put(inbox, NAME)
    (info,) = sources.find(session, PATTERN, "now").files

    def refuse(sha256: str, size: int) -> None:
        raise TransientError("NOT_REACHED", value="the store", detail="away")

    with pytest.raises(TransientError):
        sources.land(session, info, tmp_path / "landing", refuse, "delete")

    assert (inbox / NAME).read_bytes() == CONTENT


def test_a_file_that_changes_or_goes_while_it_is_read_is_not_landed(place: tuple[Folder, Path], tmp_path: Path) -> None:
    session, inbox = place
    put(inbox, NAME)
    (info,) = sources.find(session, PATTERN, "now").files
    put(inbox, NAME, CONTENT + b"R3,2.00\n")
    receipts: list[object] = []

    for _ in ("changed", "gone"):
        with pytest.raises(TransientError, match="while it was read"):
            sources.land(session, info, tmp_path / "landing", lambda *args: receipts.append(args))
        (inbox / NAME).unlink(missing_ok=True)

    assert (receipts, list((tmp_path / "landing").iterdir())) == ([], [])


def test_the_same_name_with_other_bytes_does_not_overwrite_the_archive(
    place: tuple[Folder, Path], tmp_path: Path
) -> None:
    session, inbox = place
    for content in (CONTENT, CONTENT + b"R3,2.00\n"):
        put(inbox, NAME, content)
        (info,) = sources.find(session, PATTERN, "now").files
        sources.land(session, info, tmp_path / "landing", lambda *_: None, "archive")

    assert len(list((inbox / "archive").iterdir())) == 2


@pytest.mark.parametrize("point", ["fetched", "landed", "registered"])
def test_a_kill_anywhere_leaves_one_landing_after_the_next_run(tmp_path: Path, point: str) -> None:
    inbox, home = tmp_path / "inbox", tmp_path / "home"
    inbox.mkdir()
    put(inbox, NAME)

    codes = [_land_in_a_process(inbox, home, kill) for kill in (point, "")]

    assert codes == [-signal.SIGKILL, 0]
    assert [p.name for p in (home / "landing").iterdir() if not p.name.startswith(".")] == [SHA256]
    assert [p.name for p in inbox.iterdir()] == ["archive"]
    receipts = (home / "receipts").read_text().split()
    assert receipts == [SHA256] * (2 if point == "registered" else 1)


def _land_in_a_process(inbox: Path, home: Path, kill: str) -> int:
    home.mkdir(exist_ok=True)
    script = (
        "import pathlib, sys\nfrom etl import sources\nfrom etl.transport import LocalFolder\n"
        "inbox, home = map(pathlib.Path, sys.argv[1:])\nsession = LocalFolder(inbox)\n"
        "receipt = lambda sha256, size: (home / 'receipts').open('a').write(sha256 + '\\n')\n"
        f"for info in sources.find(session, {PATTERN!r}, 'now').files:\n"
        "    sources.land(session, info, home / 'landing', receipt, 'archive')\n"
    )
    command = [sys.executable, "-c", script, str(inbox), str(home)]
    return subprocess.run(command, env={**os.environ, VARIABLE: kill}, cwd=PROJECT, check=False).returncode


# --- connections


def test_a_connection_comes_from_the_environment_as_uri_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_A", "sftp://me:p%40ss@files.example:2222/?host_key=ssh-ed25519%20AAAA&path=%2Fin")
    monkeypatch.setenv(
        "AIRFLOW_CONN_B",
        '{"conn_type": "sftp", "host": "files.example", "port": 2222, "login": "me", "password": "p@ss",'
        ' "extra": {"host_key": "ssh-ed25519 AAAA", "path": "/in"}}',
    )
    a, b = connection("a"), connection("b")

    assert (a.kind, a.host, a.port, a.login, a.password, a.path) == ("sftp", "files.example", 2222, "me", "p@ss", "/in")
    assert {**vars(a), "conn_id": ""} == {**vars(b), "conn_id": ""}
    assert "p@ss" not in repr(a)


@pytest.mark.parametrize(
    ("text", "kind", "where"),
    [
        ("file:///data/in", "folder", "/data/in"),
        ("file:/data/in%20box", "folder", "/data/in box"),
        ("fs://?path=%2Fdata", "folder", "/data"),
        ('{"conn_type": "fs", "extra": "{\\"path\\": \\"/data\\"}"}', "folder", "/data"),
        ("postgres://u:p@h:5432/erp", "database", "postgresql+psycopg://u:p@h:5432/erp"),
        ("postgresql+psycopg2://u@h/erp", "database", "postgresql+psycopg://u@h/erp"),
        ("mysql://u@h/erp", "database", "mysql+pymysql://u@h/erp"),
        ("sqlite:////data/erp.db", "database", "sqlite:////data/erp.db"),
        ('{"conn_type": "sqlite", "host": "/data/erp.db"}', "database", "sqlite:////data/erp.db"),
        (
            '{"conn_type": "postgres", "host": "h", "login": "u", "schema": "erp"}',
            "database",
            "postgresql+psycopg://u@h/erp",
        ),
    ],
)
def test_connections_of_every_kind(monkeypatch: pytest.MonkeyPatch, text: str, kind: str, where: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", text)
    found = connection("x")

    assert (found.kind, found.url or found.path) == (kind, where)


@pytest.mark.parametrize(
    "text",
    ["{not json", "ftp://h/x", '{"conn_type": "sftp", "extra": "["}', "sftp://h:x/", '{"extra": [1]}', "postgres:x"],
)
def test_a_connection_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", text)

    with pytest.raises(ConfigurationError, match="CONNECTION Connection 'x'"):
        connection("x")


def test_the_environment_goes_before_the_resolver_and_both_before_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_resolver({"y": "file:/resolved", "x": "file:/resolved"}.get)
    monkeypatch.setenv("AIRFLOW_CONN_X", "file:/environment")
    paths = [connection(name, "file:{home}/in", tmp_path).path for name in ("x", "y", "z")]
    use_resolver(None)

    assert paths == ["/environment", "/resolved", f"{tmp_path}/in"]


def test_the_resolver_may_answer_with_fields() -> None:
    use_resolver(lambda conn_id: {"conn_type": "sftp", "host": "h", "extra": {"path": "/in"}})
    found = connection("x")
    use_resolver(None)

    assert (found.kind, found.host, found.path) == ("sftp", "h", "/in")


def test_an_undefined_connection_says_how_to_define_it() -> None:
    with pytest.raises(ConfigurationError, match="AIRFLOW_CONN_NOWHERE"):
        connection("nowhere")


def test_a_default_folder_is_created_any_other_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with transport.folder(connection("x", "file:{home}/inbox", tmp_path)) as session:
        assert session.files() == []
    monkeypatch.setenv("AIRFLOW_CONN_X", f"file:{tmp_path}/absent")

    with pytest.raises(ConfigurationError, match="is no folder"):
        transport.folder(connection("x"))
    with pytest.raises(ConfigurationError, match="is a database"):
        transport.folder(connection("y", "sqlite:///{home}/x.db", tmp_path))


# --- the SFTP server must be the pinned one


def test_another_host_key_is_refused_before_any_byte(sftp_server: servers.SftpServer, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for kind in ("ed25519", "rsa"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", f"{other}_{kind}"], check=True)
        key = " ".join(Path(f"{other}_{kind}.pub").read_text().split()[:2])
        pinned = transport.connections.from_text("inbox", sftp_server.uri(sftp_server.folder))
        changed = transport.Connection(**{**vars(pinned), "extra": {**pinned.extra, "host_key": key}})

        with pytest.raises(PermanentError, match="HOST_KEY"):
            transport.folder(changed)


@pytest.mark.parametrize(
    ("extra", "detail"),
    [
        ({"host_key": ""}, "must pin"),
        ({"host_key": "AAAAC3NzaC1lZDI1NTE5"}, "must pin"),
        ({"host_key": "ssh-ed25519 ????"}, "no public key"),
        ({"no_host_key_check": "true"}, "any server"),
        ({"allow_host_key_change": True}, "any server"),
        ({"key_file": "/nowhere"}, "cannot be read"),
        ({"private_key": "nonsense"}, "private key"),
        ({"path": "/no/such/folder"}, "there is no folder"),
    ],
)
def test_an_unsafe_or_broken_sftp_connection_is_refused(
    sftp_server: servers.SftpServer, extra: dict[str, object], detail: str
) -> None:
    good = transport.connections.from_text("inbox", sftp_server.uri(sftp_server.folder))
    path = str(extra.get("path", good.path))
    bad = transport.Connection(**{**vars(good), "extra": {**good.extra, **extra}, "path": path})

    with pytest.raises(ConfigurationError, match=detail):
        transport.folder(bad)


def test_a_wrong_client_key_is_a_matter_of_configuration(sftp_server: servers.SftpServer, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    good = transport.connections.from_text("inbox", sftp_server.uri(sftp_server.folder))
    text = (tmp_path / "key").read_text()
    bad = transport.Connection(**{**vars(good), "extra": {**good.extra, "private_key": text}})

    with pytest.raises(ConfigurationError, match="refuses the login"):
        transport.folder(bad)


def test_a_server_that_is_away_may_be_tried_again(sftp_server: servers.SftpServer) -> None:
    good = transport.connections.from_text("inbox", sftp_server.uri(sftp_server.folder))

    with pytest.raises(TransientError, match="NOT_REACHED"):
        transport.folder(transport.Connection(**{**vars(good), "port": servers.free_port()}))


def relayed(server: servers.SftpServer, stalled: threading.Event) -> transport.Connection:
    """The server behind a relay that swallows everything once the event is set."""
    listener = socket.create_server(("127.0.0.1", 0))

    def relay(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not stalled.is_set():
                    sink.sendall(data)

    def accept() -> None:
        with listener:
            near, _ = listener.accept()
        far = socket.create_connection((server.host, server.port))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=relay, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    direct = transport.connections.from_text("inbox", server.uri(server.folder))
    return replace(direct, port=listener.getsockname()[1])


def test_a_stalled_connection_is_given_up_and_may_be_tried_again(
    sftp_server: servers.SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp, "ANSWER_SECONDS", 1)
    put(sftp_server.folder, NAME)
    stalled = threading.Event()
    with transport.folder(relayed(sftp_server, stalled)) as session:
        assert session.read(NAME) == CONTENT
        stalled.set()

        with pytest.raises(TransientError, match="NOT_REACHED"):
            session.read(NAME)
        with pytest.raises(TransientError, match="NOT_REACHED"):
            session.write_new("new", CONTENT)


# --- one interface, two kinds of folder


def test_a_new_file_never_replaces_one(place: tuple[Folder, Path]) -> None:
    session, inbox = place
    session.write_new("a", b"1")

    with pytest.raises(FileExistsError):
        session.write_new("a", b"2")
    assert (inbox / "a").read_bytes() == b"1"


def test_a_rename_is_one_step_and_tells_when_there_is_nothing_to_rename(place: tuple[Folder, Path]) -> None:
    session, _ = place
    session.write_new("a", b"1" * 3_000_000)
    session.write_new("b", b"2")
    session.check_rename()

    session.posix_rename("a", "b")

    assert [(info.name, info.size) for info in session.files()] == [("b", 3_000_000)]
    assert session.read("b") == b"1" * 3_000_000
    with pytest.raises(FileNotFoundError):
        session.posix_rename("a", "b")


def test_folders_links_and_absent_files_have_no_stat(place: tuple[Folder, Path]) -> None:
    session, inbox = place
    session.make_folder("deep/er")
    session.make_folder("deep/er")
    (inbox / "link").symlink_to("/etc/hostname")

    assert [session.stat(name) for name in ("deep", "link", "absent", "deep/absent")] == [None] * 4
    assert (session.files("absent"), session.files("deep")) == ([], [])
    session.remove("absent")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "", "a/../../b"])
def test_a_name_never_leaves_its_folder(place: tuple[Folder, Path], name: str) -> None:
    with pytest.raises(AssertionError):
        place[0].read(name)


def test_a_file_that_another_run_takes_while_its_sidecar_is_checked_is_tried_again(tmp_path: Path) -> None:
    class Taken(LocalFolder):
        def chunks(self, name: str) -> Iterator[bytes]:
            (tmp_path / name).unlink()
            return super().chunks(name)

    (tmp_path / "a.csv").write_bytes(b"x")
    (tmp_path / "a.csv.ok").write_text(f"1 {hashlib.sha256(b'x').hexdigest()}\n", "ascii")

    with pytest.raises(TransientError, match="went away while it was checked"):
        sources.find(Taken(tmp_path), "a.csv", "ok_file")
