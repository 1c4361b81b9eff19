"""The access lists (R1 to R5, R15, R16), and why a transfer is allowed or not (R18, R19)."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import inputs, keys, shapes
from dnsserver.editing.context import Args, Context
from dnsserver.editing.settings import need_key
from dnsserver.errors import InvalidData, UsageError
from dnsserver.store import access, refresh, zones
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, Layer, Signature, decide, opening_keys
from dnsserver.zone.access import explain as in_words
from dnsserver.zone.algorithms import algorithm_from_text


def list_(ctx: Context, args: Args) -> dict[str, Any]:
    """access.list {zone?}: the entries of all lists, or those that speak of one zone."""
    args.known("zone")
    only = args.optional_text("zone")
    with ctx.db.read() as conn:
        zone = zones.get(conn, inputs.zone_name(only)) if only else None
        known = {zone.id: zone.name} if zone is not None else {row.id: row.name for row in zones.all_zones(conn)}
        found = [
            {
                **shapes.entry(stored.entry, stored.layer, known.get(stored.zone_id or 0)),
                "notify_port": stored.notify_port if stored.layer is Layer.SUPER_SLAVE else None,
                "created": shapes.time_text(stored.created),
                "user": stored.user,
            }
            for stored in access.entries(conn)
            if stored.zone_id is None or stored.zone_id in known
        ]
    return {"version": 1, "entries": found}


def allow(ctx: Context, args: Args) -> dict[str, Any]:
    """access.allow {layer, zone?, prefix?, key?, notify_port?}: what is there already changes nothing.

    ``notify_port``: where a super-slave of a single address takes NOTIFY (R8).
    """
    return _change(ctx, args, allowing=True)


def revoke(ctx: Context, args: Args) -> dict[str, Any]:
    """access.revoke {layer, zone?, prefix?, key?}: what is not there changes nothing."""
    return _change(ctx, args, allowing=False)


def _change(ctx: Context, args: Args, *, allowing: bool) -> dict[str, Any]:
    args.known("layer", "zone", "prefix", "key", *(("notify_port",) if allowing else ()))
    layer = _layer(args.text("layer"))
    name = args.optional_text("zone")
    if (name is not None) != (layer is Layer.ZONE):
        raise UsageError("a zone is given with the layer zone, and with no other")
    prefix, key = args.optional_text("prefix"), args.optional_text("key")
    if prefix is None and key is None:
        raise UsageError("an entry needs an address prefix, a key, or both")
    entry = AccessEntry.parse(prefix, key)
    port = args.number("notify_port", low=1, high=65535)
    if port is not None and (layer is not Layer.SUPER_SLAVE or entry.address is None):
        raise InvalidData(
            "a notify port goes with a super-slave of a single address: others are not notified by a list"
        )
    with ctx.db.write() as conn:
        zone = zones.get(conn, inputs.zone_name(name)) if name is not None else None
        if allowing:
            if entry.key is not None:
                need_key(conn, entry.key)
            changed = access.allow(conn, layer, zone, entry, ctx.who, port)
        else:
            changed = access.revoke(conn, layer, zone, entry, ctx.who)
    there = "the entry is there already" if allowing else "there is no such entry"
    return {
        "version": 1,
        **shapes.entry(entry, layer, zone.name if zone is not None else None),
        "changed": changed,
        "messages": [] if changed else [f"nothing to do: {there}"],
    }


def _layer(text: str) -> Layer:
    try:
        return Layer(text.lower().replace("_", "-"))
    except ValueError:
        raise InvalidData(f"there is no list {text!r}; there are {', '.join(Layer)}") from None


@dataclass(frozen=True, slots=True)
class _Signer:
    """What a request would be signed with; ``shown`` is None for an unsigned one."""

    signature: Signature
    key: bytes | None
    shown: dict[str, Any] | None
    messages: tuple[str, ...]


def explain(ctx: Context, args: Args) -> dict[str, Any]:
    """access.explain {zone, address, key?, key_file?: {name, algorithm, secret}}: what the server would decide.

    ``key``: the signature is taken to be right when the key is known; ``key_file``: only when name, algorithm and
    secret are those of the key here, and ``key`` of the result says which match (R19). ``key_required``: only a signed
    request could be allowed from the address, ``keys`` are those that would do.
    """
    args.known("zone", "address", "key", "key_file")
    name = inputs.zone_name(args.text("zone"))
    address = _address(args.text("address"))
    with ctx.db.read() as conn:
        zone = zones.get(conn, name)
        signer = _signer(conn, args)
        lists = access.lists(conn)
        zone_entries = access.zone_entries(conn, zone.id)
        state = shapes.state(zone, refresh.get(conn, zone.id), ctx.now)
    decided = partial(decide, role=zone.role, lists=lists, zone_entries=zone_entries, address=address)
    decision = decided(signature=signer.signature, key=signer.key)
    unsigned = decided(signature=Signature.UNSIGNED, key=None)
    opening = opening_keys(role=zone.role, lists=lists, zone_entries=zone_entries, address=address)
    allowed, reason, message = decision.allowed, decision.reason, in_words(decision)
    messages = list(signer.messages)
    if allowed and (hindrance := _HINDRANCES.get(state)) is not None:
        allowed, reason, message = False, hindrance[0], f"the zone {hindrance[1]}; else it were {message}"
    return {
        "version": 1,
        "zone": names.to_text(name),
        "address": str(address),
        "allowed": allowed,
        "layer": None if decision.layer is None else str(decision.layer),
        "entry": None if decision.entry is None else decision.entry.text(),
        "reason": reason,
        "message": message,
        "key": signer.shown,
        "key_required": not unsigned.allowed and bool(opening),
        "keys": [names.to_text(key) for key in opening],
        "messages": messages,
    }


# Why a zone is transferred to nobody, by its state.
_HINDRANCES = {
    "suspended": ("zone-suspended", "is suspended"),
    "expired": ("zone-expired", "has expired: its primaries could not be asked for too long"),
    "waiting": ("no-contents", "has no contents yet"),
}


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        raise InvalidData(f"{text!r} is no IP address") from None


def _signer(conn: Connection, args: Args) -> _Signer:
    given = args.values.get("key_file")
    named = args.optional_text("key")
    if given is not None:
        if not isinstance(given, dict):
            raise UsageError("key_file is name, algorithm and secret")
        return _from_file(conn, Args("access.explain key_file", given), named)
    if named is None:
        return _Signer(Signature.UNSIGNED, None, None, ())
    name = keys.key_name(named)
    stored = keys.find(conn, name)
    text = names.to_text(name)
    shown = {"name": text, "known": stored is not None, "algorithm_matches": None, "secret_matches": None}
    if stored is None:
        return _Signer(Signature.BAD, name, shown, (f"there is no key {text} here: NOTAUTH, BADKEY",))
    if stored.secret is None:
        return _Signer(Signature.BAD, name, shown, (_unreadable(text),))
    return _Signer(Signature.VALID, name, shown, ())


def _from_file(conn: Connection, given: Args, named: str | None) -> _Signer:
    name = keys.key_name(given.text("name"))
    text = names.to_text(name)
    if named is not None and keys.key_name(named) != name:
        raise InvalidData(f"the key file holds {text}, not {names.to_text(keys.key_name(named))}")
    stored = keys.find(conn, name)
    shown = {"name": text, "known": stored is not None, "algorithm_matches": None, "secret_matches": None}
    if stored is None:
        known = f"there is no key {text} here: NOTAUTH, BADKEY (the names of keys must be the same on both sides)"
        return _Signer(Signature.BAD, name, shown, (known,))
    algorithm = algorithm_from_text(given.text("algorithm"))
    shown["algorithm_matches"] = algorithm == stored.algorithm
    if stored.secret is None:
        return _Signer(Signature.BAD, name, shown, (_unreadable(text),))
    shown["secret_matches"] = hmac.compare_digest(keys.secret_of(given.text("secret")), stored.secret)
    messages = []
    if not shown["algorithm_matches"]:
        here, there = keys.algorithm_text(stored.algorithm), keys.algorithm_text(algorithm)
        messages.append(f"the algorithm of {text} is {here} here, and {there} in the file: NOTAUTH, BADKEY")
    if not shown["secret_matches"]:
        messages.append(f"the secret of {text} here is another than in the file: NOTAUTH, BADSIG")
    return _Signer(Signature.BAD if messages else Signature.VALID, name, shown, tuple(messages))


def _unreadable(text: str) -> str:
    return f"the secret of {text} is unreadable here (the secret-file is another): import the key again"


def permissions(conn: Connection, zone: ZoneRow) -> list[dict[str, Any]]:
    """The entries that may transfer the zone, by the layers that apply to its role (R25)."""
    found = [shapes.entry(entry, Layer.GLOBAL) for entry in access.lists(conn).global_]
    if zone.role == "primary":
        found += [shapes.entry(entry, Layer.SUPER_SLAVE) for entry in access.lists(conn).super_slaves]
    return found + [shapes.entry(entry, Layer.ZONE, zone.name) for entry in access.zone_entries(conn, zone.id)]
