"""What a person types, read with care: zone names, record names, types, rdata, TTLs.

A relative name that ends in the zone's own name without a final dot (``www.example.com`` in example.com) is nearly
always a slip that would make ``www.example.com.example.com.``: it is refused, both spellings shown (CONTRACT).
"""

from __future__ import annotations

from dnsserver.errors import InvalidData
from dnsserver.zone import names, rdata, rrtypes
from dnsserver.zone.rdata import type_to_text
from dnsserver.zone.ttl import MAX_TTL, parse_ttl


def zone_name(text: str) -> bytes:
    """The lower-cased name of a zone: absolute with or without the final dot, Unicode, or a network (RFC 2317)."""
    return names.zone_from_user(text)


def host_name(text: str, apex: bytes) -> bytes:
    """A name server's host: one label is a host in the zone, anything longer is absolute even without final dot."""
    relative = "." not in text.rstrip(".") and not text.endswith(".")
    try:
        return names.from_text(_ascii(text), apex) if relative else names.from_user(text)
    except InvalidData as error:
        raise InvalidData(f"{text!r} is no host name: {error.message}") from None


def owner_name(text: str, apex: bytes, *, origin: bytes | None = None) -> bytes:
    """A record's owner: relative to ``origin`` (default: the zone), ``@`` the apex, a final dot makes it absolute.

    Raises InvalidData when it is no name, is the slip described above, or is not in the zone.
    """
    try:
        name = names.from_text(_ascii(text), apex if origin is None else origin)
    except InvalidData as error:
        raise InvalidData(f"{text!r} is no name of a record: {error.message}") from None
    if origin is None and _doubled(apex) and not text.endswith(".") and text != "@":
        _refuse_doubled(text, name, apex)
    if not names.is_within(name.lower(), apex):
        raise InvalidData(f"{names.to_text(name)} is not in the zone {names.to_text(apex)}")
    return name


def _ascii(text: str) -> str:
    """Unicode labels as A-labels, by IDNA 2008 (RFC 5891)."""
    if text.isascii():
        return text
    import idna  # seldom needed

    try:
        return ".".join(
            label if label.isascii() else idna.encode(label, uts46=True).decode("ascii") for label in text.split(".")
        )
    except idna.IDNAError as error:
        raise InvalidData(f"{text!r} is no valid IDNA 2008 name: {error}") from None


def _doubled(apex: bytes) -> bytes:
    """The zone's name below itself, which only the slip makes; empty for the root, where it cannot happen."""
    return apex[:-1] + apex if apex != names.ROOT else b""


def _refuse_doubled(text: str, name: bytes, apex: bytes) -> None:
    if not names.is_within(name.lower(), _doubled(apex)):
        return
    meant = names.to_text(name[: len(name) - len(apex)] + names.ROOT)
    raise InvalidData(
        f"{text!r} ends in the zone's own name without a final dot: write {meant!r} for that name "
        f"(or {names.relative_text(name[: len(name) - len(apex)] + names.ROOT, apex)!r}), or "
        f"{names.to_text(name)!r} if it lies below that"
    )


def record_type(text: str) -> int:
    """A type that a zone may hold, from ``A`` or ``TYPE1``."""
    number = rdata.type_from_text(text)
    if number in rrtypes.META or number == 0:
        raise InvalidData(f"{text}: a type that no zone holds (RFC 6895, 3.1)")
    return number


def record_rdata(rtype: int, text: str, apex: bytes, *, origin: bytes | None = None) -> bytes:
    """Wire rdata of one record's text; names relative to ``origin`` (default: the zone). Raises InvalidData.

    TXT without quotes is one string (several of 255 octets when it is longer: RFC 1035, 3.3.14).
    """
    kind = type_to_text(rtype)
    try:
        wire = rdata.from_user(rtype, text, apex if origin is None else origin)
    except InvalidData as error:
        raise InvalidData(f"{text!r} is no rdata of {kind}: {error.message}") from None
    doubled = _doubled(apex)
    if origin is None and doubled and (at := wire.lower().find(doubled)) >= 0:
        absolute = rdata.from_user(rtype, text, names.ROOT)
        if absolute.lower().count(doubled) < wire.lower().count(doubled):
            _refuse_target(kind, text, wire, at, apex)
    return wire


def _refuse_target(kind: str, text: str, wire: bytes, at: int, apex: bytes) -> None:
    """``at``: where the zone's doubled name stands in ``wire``; the token of the text that became it is looked for."""
    for token in text.split():
        if not token.endswith("."):
            try:
                _refuse_doubled(token, names.from_text(token, apex), apex)
            except InvalidData as error:
                raise InvalidData(f"{kind} {text}: {error.message}") from None
    doubled = names.to_text(_doubled(apex))
    raise InvalidData(f"{kind} {text}: a name ends in the zone's own name without a final dot (it became {doubled})")


def rdata_list(rtype: int, texts: list[str], apex: bytes) -> list[bytes]:
    """The distinct rdata of several records; a hint when one record was given in several words."""
    found: dict[bytes, bytes] = {}
    for text in texts:
        try:
            wire = record_rdata(rtype, text, apex)
        except InvalidData as error:
            if len(texts) > 1 and (joined := " ".join(texts)) and _is_rdata(rtype, joined, apex):
                raise InvalidData(f"{error.message}; quote one record's rdata: '{joined}'") from None
            raise
        found.setdefault(rdata.canonical(rtype, wire), wire)
    return list(found.values())


def _is_rdata(rtype: int, text: str, apex: bytes) -> bool:
    try:
        rdata.from_user(rtype, text, apex)
    except InvalidData:
        return False
    return True


def ttl(value: object) -> int | None:
    """A TTL as number or text (``3600``, ``1h``); None stays None. Raises InvalidData."""
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= MAX_TTL:
            raise InvalidData(f"TTL {value} is not in 0 to {MAX_TTL} (RFC 2181, 8)")
        return value
    return parse_ttl(str(value))
