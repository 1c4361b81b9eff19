"""Encryption at rest of TSIG secrets: AES-256-GCM with a key from a file of mode 0400, or a systemd credential."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dnsserver.errors import StoreFailed

SIZE = 32
_FORMAT = b"\x01"
_NONCE = 12


class SecretBox:
    """Seals and opens. What is sealed is bound to its ``context``: it opens with the same one only."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        """``key``: 32 octets."""
        self._cipher = AESGCM(key)

    @classmethod
    def load(cls, path: Path | str, create: bool = False) -> SecretBox:
        """The box of the key in ``path``, or in the service manager's credential of the same file name.

        ``create``: a key that is missing is made, mode 0400. Raises StoreFailed: missing, unreadable, not 32 octets,
        or readable by everybody.
        """
        path = Path(path)
        credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), path.name)
        if "CREDENTIALS_DIRECTORY" in os.environ and credential.exists():
            path = credential
        try:
            if create and not path.exists():
                _make(path)
            key = path.read_bytes()
            readable = path.stat().st_mode & 0o007
        except FileNotFoundError:
            raise StoreFailed(f"no secret file at {path.absolute()}: it opens the stored TSIG secrets") from None
        except OSError as error:
            raise StoreFailed(f"the secret file {path.absolute()} cannot be read: {error.strerror}") from None
        if len(key) != SIZE:
            raise StoreFailed(f"the secret file {path.absolute()} has {len(key)} octets, not {SIZE}")
        if readable:
            raise StoreFailed(f"the secret file {path.absolute()} is open to every user; run chmod 0400 on it")
        return cls(key)

    def seal(self, secret: bytes, context: bytes = b"") -> bytes:
        nonce = os.urandom(_NONCE)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, secret, context)

    def open(self, sealed: bytes, context: bytes = b"") -> bytes:
        """What was sealed; raises StoreFailed when it was sealed with another key, for another context, or damaged."""
        if sealed[:1] != _FORMAT:
            raise StoreFailed("a stored secret is unreadable: it has an unknown form")
        nonce = sealed[1 : 1 + _NONCE]
        try:
            return self._cipher.decrypt(nonce, sealed[1 + _NONCE :], context)
        except (InvalidTag, ValueError):
            raise StoreFailed("a stored secret is unreadable: it was sealed with another secret file") from None


def _make(path: Path) -> None:
    """A new key at ``path``: whole or absent, and never in place of one that another process has just made."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
    try:
        with open(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o400)
            file.write(os.urandom(SIZE))
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
