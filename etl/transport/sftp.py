"""A folder of an SFTP server: host key pinned, every wait bounded, errors told apart by what the reader can do."""

from __future__ import annotations

import base64
import binascii
import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import paramiko
from paramiko.pkey import UnknownKeyType
from paramiko.sftp import CMD_EXTENDED

from etl.errors import ConfigurationError, PermanentError, TransientError
from etl.transport.connections import Connection
from etl.transport.files import CHUNK_BYTES, FileInfo, plain

CONNECT_SECONDS, BANNER_SECONDS, AUTHENTICATE_SECONDS, ANSWER_SECONDS = 10, 30, 30, 60
_KEYS: Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
# Extras of Airflow's SFTP connection that let any server pass for the right one.
_UNSAFE: Final = ("no_host_key_check", "allow_host_key_change")


class SftpFolder:
    """An open folder of an SFTP server; connects when made."""

    def __init__(self, connection: Connection, path: str = "") -> None:
        self.connection = connection
        self.label = f"{connection.host}:{connection.port or 22}"
        self.root = "/".join(part for part in (connection.path.rstrip("/"), path.strip("/")) if part) or "."
        self._ssh = _client(connection)
        with self._answered():
            self._sftp = self._ssh.open_sftp()
            channel = self._sftp.get_channel()
            assert channel is not None
            channel.settimeout(ANSWER_SECONDS)
        self._check_root()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ssh.close()

    def files(self, under: str = "") -> list[FileInfo]:
        with self._answered():
            try:
                found = self._sftp.listdir_attr(self._at(under) if under else self.root)
            except FileNotFoundError:
                return []
        return sorted((_info(a.filename, a) for a in found if _is_file(a)), key=lambda info: info.name)

    def stat(self, name: str) -> FileInfo | None:
        with self._answered():
            try:
                found = self._sftp.lstat(self._at(name))
            except FileNotFoundError:
                return None
        return _info(name, found) if _is_file(found) else None

    def chunks(self, name: str) -> Iterator[bytes]:
        with self._answered(), self._sftp.open(self._at(name), "rb") as file:
            file.prefetch(file.stat().st_size)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def read(self, name: str) -> bytes:
        return b"".join(self.chunks(name))

    def write_new(self, name: str, content: bytes) -> None:
        with self._answered(), self._create(name) as file:
            file.set_pipelined(True)
            for start in range(0, len(content), CHUNK_BYTES):
                file.write(content[start : start + CHUNK_BYTES])
            file.set_pipelined(False)
            file.flush()
            self._sync(file)

    def posix_rename(self, old: str, new: str) -> None:
        with self._answered():
            try:
                self._sftp.posix_rename(self._at(old), self._at(new))
            except OSError as error:
                if _unsupported(error):
                    raise PermanentError("NO_ATOMIC_RENAME", value=self.label) from error
                raise

    def remove(self, name: str) -> None:
        with self._answered():
            try:
                self._sftp.remove(self._at(name))
            except FileNotFoundError:
                return

    def make_folder(self, name: str) -> None:
        with self._answered():
            for parent in [*reversed(plain(name).parents[:-1]), plain(name)]:
                try:
                    self._sftp.mkdir(self._at(str(parent)))
                except OSError:
                    if not stat.S_ISDIR(self._sftp.stat(self._at(str(parent))).st_mode or 0):
                        raise

    def check_rename(self) -> None:
        # Renaming what is not there: a server that knows the request says "no such file", another "unsupported".
        try:
            self.posix_rename(".claimpost.probe", ".claimpost.probed")
        except FileNotFoundError:
            return

    def _at(self, name: str) -> str:
        return f"{self.root}/{plain(name)}"

    def _check_root(self) -> None:
        try:
            with self._answered():
                self._sftp.listdir_attr(self.root)
        except FileNotFoundError as error:
            self._ssh.close()
            raise _unusable(self.connection, f"there is no folder {self.root} on {self.label}") from error

    def _create(self, name: str) -> paramiko.SFTPFile:
        try:
            return self._sftp.open(self._at(name), "wx")
        except OSError as error:  # OpenSSH answers "Failure" for an existing file
            if error.errno is None and self.stat(name) is not None:
                raise FileExistsError(name) from error
            raise

    def _sync(self, file: paramiko.SFTPFile) -> None:
        """fsync@openssh.com, which paramiko does not offer; a server without it has only our read-back."""
        client: Any = self._sftp
        try:
            client._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)
        except OSError as error:
            if not _unsupported(error):
                raise

    @contextmanager
    def _answered(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except PermissionError as error:
            raise _unusable(self.connection, f"{self.label} refuses access") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            detail = str(error) or type(error).__name__
            raise TransientError("NOT_REACHED", value=self.label, detail=detail) from error


def _client(connection: Connection) -> paramiko.SSHClient:
    if not connection.host:
        raise _unusable(connection, "names no host")
    unsafe = [
        name for name in _UNSAFE if str(connection.extra.get(name) or "false").lower() not in ("false", "0", "no")
    ]
    if unsafe:
        raise _unusable(connection, f"{unsafe[0]} lets any server pass for this one; pin extra.host_key instead")
    port, label = connection.port or 22, f"{connection.host}:{connection.port or 22}"
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    key = _host_key(connection)
    client.get_host_keys().add(connection.host if port == 22 else f"[{connection.host}]:{port}", key.get_name(), key)
    try:
        _login(client, connection, port)
    except paramiko.BadHostKeyException as error:
        raise PermanentError("HOST_KEY", value=label) from error
    except paramiko.AuthenticationException as error:
        raise _unusable(connection, f"{label} refuses the login {connection.login!r} or its key") from error
    except paramiko.SSHException as error:
        if "known_hosts" in str(error):  # the server showed a key of another type than the pinned one
            raise PermanentError("HOST_KEY", value=label) from error
        raise TransientError("NOT_REACHED", value=label, detail=str(error)) from error
    except (OSError, EOFError) as error:
        detail = str(error) or type(error).__name__
        raise TransientError("NOT_REACHED", value=label, detail=detail) from error
    return client


def _login(client: paramiko.SSHClient, connection: Connection, port: int) -> None:
    client.connect(
        connection.host, port, connection.login or None, connection.password or None, pkey=_private_key(connection),
        look_for_keys=False, allow_agent=False, timeout=CONNECT_SECONDS, banner_timeout=BANNER_SECONDS,
        auth_timeout=AUTHENTICATE_SECONDS, channel_timeout=ANSWER_SECONDS,
    )  # fmt: skip


def _host_key(connection: Connection) -> paramiko.PKey:
    words = str(connection.extra.get("host_key") or "").split()
    if len(words) < 2:
        raise _unusable(connection, 'extra.host_key must pin the server: "ssh-ed25519 AAAA..."')
    try:
        return paramiko.PKey.from_type_string(words[0], base64.b64decode(words[1], validate=True))
    except (binascii.Error, paramiko.SSHException, UnknownKeyType, ValueError) as error:
        raise _unusable(connection, "extra.host_key is no public key") from error


def _private_key(connection: Connection) -> paramiko.PKey | None:
    text, file = connection.extra.get("private_key"), connection.extra.get("key_file")
    if not text and not file:
        return None
    try:
        content = str(text) if text else Path(str(file)).expanduser().read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(connection, f"extra.key_file {file} cannot be read") from error
    passphrase = connection.extra.get("private_key_passphrase") or None
    for kind in _KEYS:
        try:
            return kind.from_private_key(io.StringIO(content), passphrase)
        except (paramiko.SSHException, ValueError):
            continue
    raise _unusable(connection, "the private key cannot be read (Ed25519, ECDSA or RSA; passphrase?)")


def _unusable(connection: Connection, detail: str) -> ConfigurationError:
    conn_id = connection.conn_id
    return ConfigurationError("CONNECTION", value=conn_id, name=conn_id.upper(), detail=detail)


def _unsupported(error: OSError) -> bool:
    return error.errno is None and "unsupported" in str(error).lower()


def _is_file(found: paramiko.SFTPAttributes) -> bool:
    return stat.S_ISREG(found.st_mode or 0)


def _info(name: str, found: paramiko.SFTPAttributes) -> FileInfo:
    return FileInfo(name, found.st_size or 0, found.st_mtime or 0)
