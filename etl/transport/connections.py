"""Connections by their Airflow id, read from where Airflow reads them: the environment, or Airflow itself."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from etl.errors import ConfigurationError

FOLDER, SFTP, DATABASE, HTTP = "folder", "sftp", "database", "web server"
# Airflow's connection type or a URL's scheme -> what we open; databases with the driver we ship.
_KINDS: Final = {"file": FOLDER, "fs": FOLDER, "sftp": SFTP, "ssh": SFTP, "http": HTTP, "https": HTTP}
_DRIVERS: Final = {
    "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql", "sqlite": "sqlite",
}  # fmt: skip


@dataclass(frozen=True)
class Connection:
    """Where a folder, an SFTP server, a database or a web server is, and how to get in.

    Secrets stay out of its text form. url: a database's with login and password, a web server's without.
    """

    conn_id: str
    kind: str
    host: str = ""
    port: int = 0
    login: str = ""
    password: str = field(default="", repr=False)
    path: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    url: str = field(default="", repr=False)
    embedded: bool = False  # a feed's own default under our home: we may create the folder


Resolver = Callable[[str], "str | Mapping[str, Any] | None"]
_resolvers: list[Resolver] = []


def use_resolver(resolver: Resolver | None) -> None:
    """Register who knows connections that the environment does not name; None forgets it.

    The resolver takes a connection id and returns a URI, Airflow's JSON, a mapping of Airflow's field names
    (conn_type, host, port, login, password, schema, extra), or None when it does not know the id.
    """
    _resolvers[:] = [resolver] if resolver else []


def connection(conn_id: str, default: str = "", home: Path = Path()) -> Connection:
    """A connection by id: AIRFLOW_CONN_<ID>, else the resolver, else the default with {home} filled in.

    Raises ConfigurationError CONNECTION when nobody knows the id, or what is known makes no sense.
    """
    found = os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}") or None
    known: str | Mapping[str, Any] | None = found
    for resolver in _resolvers:
        known = known or resolver(conn_id)
    if known:
        return _from_fields(conn_id, known) if isinstance(known, Mapping) else from_text(conn_id, known)
    if default:
        here = from_text(conn_id, default.replace("{home}", str(home.absolute())))
        return Connection(**{**vars(here), "embedded": True})
    raise _unusable(conn_id, "is not defined")


def _unusable(conn_id: str, detail: str) -> ConfigurationError:
    return ConfigurationError("CONNECTION", value=conn_id, name=conn_id.upper(), detail=detail)


def from_text(conn_id: str, text: str) -> Connection:
    """A connection from a URI or Airflow's JSON; raises ConfigurationError CONNECTION."""
    text = text.strip()
    if text.startswith("{"):
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise _unusable(conn_id, f"is not JSON: {error.msg}") from error
        return _from_fields(conn_id, fields)
    scheme = text.partition(":")[0]
    if scheme.partition("+")[0] in _DRIVERS:
        return Connection(conn_id, DATABASE, url=database_url(conn_id, text))
    if _KINDS.get(scheme) == FOLDER and not text.startswith((f"{scheme}://?", f"{scheme}://@")):
        rest = text.partition(":")[2].partition("?")[0]
        return Connection(conn_id, FOLDER, path=unquote(rest.removeprefix("//")))
    return _from_uri(conn_id, text)


def _from_uri(conn_id: str, text: str) -> Connection:
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError as error:
        raise _unusable(conn_id, f"is no URI: {error}") from error
    extra: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "__extra__" in extra:
        extra = _extra(conn_id, extra["__extra__"])
    fields = {
        "conn_type": parts.scheme, "host": unquote(parts.hostname or ""), "port": port, "extra": extra,
        "login": unquote(parts.username or ""), "password": unquote(parts.password or ""), "path": unquote(parts.path),
    }  # fmt: skip
    return _from_fields(conn_id, fields)


def _from_fields(conn_id: str, fields: Mapping[str, Any]) -> Connection:
    kind = str(fields.get("conn_type") or "").replace("-", "_")
    extra = _extra(conn_id, fields.get("extra") or {})
    host, login = str(fields.get("host") or ""), str(fields.get("login") or "")
    password, schema = str(fields.get("password") or ""), str(fields.get("schema") or "")
    try:
        port = int(fields.get("port") or 0)
    except ValueError as error:
        raise _unusable(conn_id, "the port is not a number") from error
    if kind in _DRIVERS:
        url = _database_fields(kind, host, port, login, password, schema, extra)
        return Connection(conn_id, DATABASE, url=url.render_as_string(hide_password=False))
    if kind not in _KINDS:
        raise _unusable(conn_id, f"type {kind!r} is none of {', '.join(sorted({*_KINDS, *_DRIVERS}))}")
    if _KINDS[kind] == HTTP:
        address = _address(kind, host, port, schema, str(fields.get("path") or ""))
        return Connection(conn_id, HTTP, host, port, login, password, extra=extra, url=address)
    path = str(extra.get("path") or fields.get("path") or schema).removesuffix("/")
    return Connection(conn_id, _KINDS[kind], host, port, login, password, path, extra)


def _extra(conn_id: str, extra: Any) -> dict[str, Any]:
    if isinstance(extra, str):
        try:
            extra = json.loads(extra)
        except json.JSONDecodeError as error:
            raise _unusable(conn_id, f"its extra is not JSON: {error.msg}") from error
    if not isinstance(extra, Mapping):
        raise _unusable(conn_id, "its extra is no JSON object")
    return dict(extra)


def _database_fields(
    kind: str, host: str, port: int, login: str, password: str, schema: str, extra: Mapping[str, Any]
) -> URL:
    if kind == "sqlite":
        return URL.create("sqlite", database=host or schema)
    query = {name: value for name, value in extra.items() if isinstance(value, str)}
    return URL.create(
        _DRIVERS[kind], login or None, password or None, host or None, port or None, schema or None, query
    )


def _address(kind: str, host: str, port: int, schema: str, path: str) -> str:
    """The address of a web server; Airflow keeps https in the schema, as the path of a URI, or before the host."""
    scheme, path = schema or kind, path.rstrip("/")
    if path in ("/http", "/https"):
        scheme, path = path[1:], ""
    if "://" in host:
        scheme, _, host = host.rstrip("/").partition("://")
    host = f"[{host}]" if host.count(":") > 1 else host
    return f"{scheme}://{host}" + (f":{port}" if port else "") + path


def database_url(conn_id: str, text: str) -> str:
    """A database URL with the driver we ship; raises ConfigurationError CONNECTION."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise _unusable(conn_id, "is no database URL") from error
    driver = _DRIVERS[url.drivername.partition("+")[0]]
    return url.set(drivername=driver).render_as_string(hide_password=False)
