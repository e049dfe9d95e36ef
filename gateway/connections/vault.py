"""Credentials at rest: sealed with AES-256-GCM, each bound to its connection's id.

The key is the environment's PEFTSTUDIO_KEY, or a file that is made at the first start and readable by its owner alone.
Sealed bytes are a version byte, the nonce and the ciphertext.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import GatewayError, Reason

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_VARIABLE = "PEFTSTUDIO_KEY"
KEY_BYTES = 32
_NONCE_BYTES = 12  # What GCM is defined for; random nonces are safe for billions of seals.
_VERSION = b"\x01"


class KeyUnusable(GatewayError):
    """Raised when the vault's key cannot be read, or is not the one that credentials were sealed with."""

    reason = Reason.CREDENTIALS_REJECTED


class Vault:
    """Seal credentials, and open them again."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def load(cls, data_dir: Path, environ: Mapping[str, str]) -> Vault:
        """Take the key from the environment, or from the key file, which is made where there is none.

        Raises:
            KeyUnusable: The key is malformed, or others could read its file.
        """
        if text := environ.get(KEY_VARIABLE, ""):
            return cls(_decode(text, f"the environment variable {KEY_VARIABLE}"))
        path = data_dir / "key"
        if not path.exists():
            _make(path)
        return cls(_read(path))

    def seal(self, connection_id: str, values: Mapping[str, str]) -> bytes:
        """Encrypt credentials so that they open for this connection alone."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = json.dumps(dict(values), separators=(",", ":")).encode()
        return _VERSION + nonce + self._cipher().encrypt(nonce, plain, connection_id.encode())

    def open(self, connection_id: str, sealed: bytes) -> dict[str, str]:
        """Decrypt credentials.

        Raises:
            KeyUnusable: They were sealed with another key or for another connection, or are damaged.
        """
        from cryptography.exceptions import InvalidTag

        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _VERSION or len(nonce) != _NONCE_BYTES:
                raise InvalidTag
            values = json.loads(self._cipher().decrypt(nonce, body, connection_id.encode()))
        except InvalidTag as error:
            raise KeyUnusable(
                f"the credentials of connection {connection_id!r} cannot be decrypted with this key; start the gateway"
                " with the key that they were stored with, or rotate them"
            ) from error
        return {str(name): str(value) for name, value in values.items()}

    def _cipher(self) -> AESGCM:
        # 7 MB, which a gateway needs that seals or opens something.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)


def _make(path: Path) -> None:
    draft = path.with_name(f".key-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link appears at once and whole, and never over a key that another process made meanwhile.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _read(path: Path) -> bytes:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyUnusable(f"the key file {path} can be read by others (mode {mode:04o}); run `chmod 600 {path}`")
    return _decode(path.read_text("ascii", "replace"), f"the key file {path}")


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyUnusable(f"{where} is not base64; it must hold {KEY_BYTES} random bytes in base64") from error
    if len(key) != KEY_BYTES:
        raise KeyUnusable(f"{where} holds {len(key)} bytes; it must hold {KEY_BYTES} random bytes in base64")
    return key


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
