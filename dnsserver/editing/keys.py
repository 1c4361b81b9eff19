"""The TSIG keys: generate, import, list, show, delete. Secrets leave only where they are asked for."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import shapes
from dnsserver.editing.context import Args, Context
from dnsserver.errors import Conflict, InvalidData, NotFound
from dnsserver.store import keys
from dnsserver.store.keys import StoredKey
from dnsserver.zone import names
from dnsserver.zone.algorithms import ALGORITHMS, algorithm_from_text

SHORT = 16


def algorithm_text(wire: bytes) -> str:
    """``hmac-sha256``"""
    known = ALGORITHMS.get(wire)
    return names.to_text(wire).rstrip(".") if known is None else known.short


def key_name(text: str) -> bytes:
    try:
        return names.from_user(text.strip()).lower()
    except InvalidData as error:
        raise InvalidData(f"{text!r} is no name of a key: {error.message}") from None


def secret_of(text: str) -> bytes:
    """The octets of a secret in base64. The error does not repeat it."""
    try:
        secret = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidData("the secret is not base64") from None
    if not secret:
        raise InvalidData("the secret is empty")
    return secret


def generate(ctx: Context, args: Args) -> dict[str, Any]:
    """key.generate {name, algorithm?}: a random secret as long as the digest. Raises Conflict when it is there."""
    args.known("name", "algorithm")
    name = key_name(args.text("name"))
    wire = algorithm_from_text(args.optional_text("algorithm") or "hmac-sha256")
    kind = algorithm_text(wire)
    if ALGORITHMS[wire].weak:
        raise InvalidData(f"{kind} is not generated any more; take hmac-sha256")
    with ctx.db.write() as conn:
        if find(conn, name) is not None:
            raise Conflict(f"there is a key {names.to_text(name)} already; delete it first, or import over it")
        keys.put(conn, name, wire, secrets.token_bytes(ALGORITHMS[wire].size), ctx.who)
    return _done(ctx, name, kind, True, [])


def import_(ctx: Context, args: Args) -> dict[str, Any]:
    """key.import {name, algorithm, secret (base64), weak?}: an existing key takes the new algorithm and secret.

    ``weak`` allows hmac-md5 and hmac-sha1, and secrets below 128 bits.
    """
    args.known("name", "algorithm", "secret", "weak")
    name = key_name(args.text("name"))
    wire = algorithm_from_text(args.text("algorithm"))
    kind, is_weak = algorithm_text(wire), ALGORITHMS[wire].weak
    secret = secret_of(args.text("secret"))
    weak = args.flag("weak")
    messages: list[str] = []
    if is_weak and not weak:
        raise InvalidData(f"{kind} is weak (RFC 8945, 6): take hmac-sha256, or say --weak to accept it for this key")
    if is_weak:
        messages.append(f"warning: {kind} is weak (RFC 8945, 6)")
    if len(secret) < SHORT:
        messages.append(f"warning: the secret has {8 * len(secret)} bits; 128 are the least that is safe (RFC 8945, 8)")
    with ctx.db.write() as conn:
        old = find(conn, name)
        same = old is not None and (old.algorithm, old.secret, old.weak_allowed) == (wire, secret, is_weak)
        if not same:
            keys.put(conn, name, wire, secret, ctx.who, weak_allowed=is_weak)
    if same:
        messages.append("nothing to do: the key is so already")
    elif old is not None:
        messages.append(f"the key {names.to_text(name)} was there, and has this secret now")
    return _done(ctx, name, kind, not same, messages)


def _done(ctx: Context, name: bytes, kind: str, changed: bool, messages: list[str]) -> dict[str, Any]:
    return {
        "version": 1,
        "name": names.to_text(name),
        "algorithm": kind,
        "changed": changed,
        "messages": messages,
    }


def list_(ctx: Context, args: Args) -> dict[str, Any]:
    """key.list {}: all keys, without secrets."""
    args.known()
    with ctx.db.read() as conn:
        found = [shown(key) for key in keys.all_keys(conn)]
    return {"version": 1, "keys": found}


def show(ctx: Context, args: Args) -> dict[str, Any]:
    """key.show {name, secret?}: one key; its secret in base64 only when ``secret`` is set."""
    args.known("name", "secret")
    name = key_name(args.text("name"))
    with ctx.db.read() as conn:
        key = keys.get(conn, name)
        used = keys.uses(conn, name)
    result = {"version": 1, **shown(key), "used": used}
    if args.flag("secret"):
        if key.secret is None:
            raise InvalidData(f"the secret of {names.to_text(name)} is unreadable (the secret-file is another); "
                              "import the key again")  # fmt: skip
        result["secret"] = base64.b64encode(key.secret).decode()
    return result


def find(conn: Connection, name: bytes) -> StoredKey | None:
    """The key of this name, if there is one."""
    try:
        return keys.get(conn, name)
    except NotFound:
        return None


def shown(key: StoredKey) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "name": names.to_text(key.name),
        "algorithm": algorithm_text(key.algorithm),
        "created": shapes.time_text(key.created),
        "readable": key.secret is not None,
        "weak": key.weak_allowed,
    }


def delete(ctx: Context, args: Args) -> dict[str, Any]:
    """key.delete {name}. Raises NotFound; Conflict, with where it is used, when it is."""
    args.known("name")
    name = key_name(args.text("name"))
    with ctx.db.write() as conn:
        key = keys.get(conn, name)
        keys.delete(conn, name, ctx.who)
    return _done(ctx, name, algorithm_text(key.algorithm), True, [])
