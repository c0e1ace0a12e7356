"""`make env`: writes .env beside docker-compose.yml with fresh secrets and keys; an existing one stays as it is."""

from __future__ import annotations

import base64
import secrets
import sys
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

PROJECT: Final = Path(__file__).resolve().parent.parent


def ssh_key() -> tuple[bytes, str]:
    """A new Ed25519 key: private in OpenSSH's format, public as one line."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def values() -> dict[str, str]:
    """Every variable of .env.example that has no value there."""
    host, host_public = ssh_key()
    client, client_public = ssh_key()
    return {
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "REDIS_PASSWORD": secrets.token_urlsafe(24),
        "AIRFLOW_FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW_JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW_API_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW_ADMIN_PASSWORD": secrets.token_urlsafe(24),
        "SFTP_HOST_KEY": base64.b64encode(host).decode(),
        "SFTP_HOST_PUBLIC_KEY": host_public,
        "SFTP_CLIENT_KEY": client.decode().replace("\n", "\\n"),
        "SFTP_CLIENT_PUBLIC_KEY": client_public,
    }


def fill(example: str, made: dict[str, str]) -> str:
    """The example's lines with the values put in, single-quoted so that nothing in them is interpreted."""
    lines = []
    for line in example.splitlines():
        name = line.partition("=")[0]
        lines.append(f"{name}='{made[name]}'" if name in made else line)
    return "\n".join(lines) + "\n"


def main(folder: Path = PROJECT) -> int:
    """Write .env, readable by its owner only."""
    path = folder / ".env"
    if path.exists():
        print(f"{path} stays as it is.")
        return 0
    path.touch(mode=0o600)
    path.write_text(fill((PROJECT / ".env.example").read_text("utf-8"), values()), "utf-8")
    print(f"{path} is new: `docker compose up --build` starts everything; the login stands in it.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
