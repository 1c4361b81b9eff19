"""Rdata between master-file text and uncompressed wire form.

Common types are tables of fields (``fields``): text in both directions, validation, canonical form and the places of
names all come from one table. All other types that dnspython knows go through it (100 us a record); types that nobody
knows, and any rdata that its type's text cannot carry, are written ``\\# length hex`` (RFC 3597, 5).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial

import dns.rdatatype

from dnsserver.errors import InvalidData
from dnsserver.zone import fields as f
from dnsserver.zone import rrtypes, tokens
from dnsserver.zone.fields import Field, type_from_text, type_to_text

__all__ = [
    "FIELDS", "canonical", "from_clean", "from_plain", "from_text", "from_user", "names_at", "to_text",
    "type_from_text", "type_to_text", "validate",
]  # fmt: skip

MAX_RDATA = 65535

_T = dns.rdatatype.RdataType
_u8, _u16, _u32 = (partial(f.number, size=size) for size in (1, 2, 4))
_NAME = (f.name("name"),)
_TEXT = (f.strings("strings"),)
_DIGEST = (_u16("key-tag"), f.algorithm(), _u8("digest-type"), f.hexadecimal("digest"))
_CERTIFICATE = (_u8("usage"), _u8("selector"), _u8("matching-type"), f.hexadecimal("data"))
_KEY = (_u16("flags"), _u8("protocol"), f.algorithm(), f.base64_rest("key"))
_HOST = (_u16("preference"), f.name("host"))
_HASHING = (_u8("hash-algorithm"), _u8("flags"), _u16("iterations"), f.salt())
# RFC 6840, 5.1: the next name of an NSEC keeps its case in the canonical form, the signer of an RRSIG does not.
FIELDS: dict[int, tuple[Field, ...]] = {
    **dict.fromkeys((_T.NS, _T.CNAME, _T.PTR, _T.DNAME, _T.MD, _T.MF, _T.MB, _T.MG, _T.MR), _NAME),
    **dict.fromkeys((_T.TXT, _T.SPF, _T.NINFO, _T.AVC, _T.RESINFO, _T.WALLET), _TEXT),
    **dict.fromkeys((_T.MX, _T.AFSDB, _T.RT, _T.KX), _HOST),
    **dict.fromkeys((_T.DS, _T.CDS, _T.DLV), _DIGEST),
    **dict.fromkeys((_T.DNSKEY, _T.CDNSKEY), _KEY),
    **dict.fromkeys((_T.TLSA, _T.SMIMEA), _CERTIFICATE),
    **dict.fromkeys((_T.RP, _T.MINFO), (f.name("mailbox"), f.name("name"))),
    _T.A: (f.address4(),),
    _T.AAAA: (f.address6(),),
    _T.SOA: (
        f.name("mname"), f.name("rname"), _u32("serial"),
        f.seconds("refresh"), f.seconds("retry"), f.seconds("expire"), f.seconds("minimum"),
    ),
    _T.HINFO: (f.string("cpu"), f.string("os")),
    _T.PX: (_u16("preference"), f.name("map822"), f.name("mapx400")),
    _T.SRV: (_u16("priority"), _u16("weight"), _u16("port"), f.name("target")),
    _T.NAPTR: (
        _u16("order"), _u16("preference"), f.string("flags"), f.string("services"), f.string("regexp"),
        f.name("replacement"),
    ),
    _T.CAA: (_u8("flags"), f.tag(), f.long_string("value", 0)),
    _T.URI: (_u16("priority"), _u16("weight"), f.long_string("target", 1)),
    _T.SSHFP: (_u8("algorithm"), _u8("type"), f.hexadecimal("fingerprint")),
    _T.OPENPGPKEY: (f.base64_rest("key"),),
    _T.DHCID: (f.base64_rest("digest"),),
    _T.ZONEMD: (_u32("serial"), _u8("scheme"), _u8("hash"), f.hexadecimal("digest", 12)),
    _T.RRSIG: (
        f.covered(), f.algorithm(), _u8("labels"), _u32("original-ttl"), f.moment("expiration"),
        f.moment("inception"), _u16("key-tag"), f.name("signer"), f.base64_rest("signature"),
    ),
    _T.NSEC: (f.name("next", fold=False), f.types()),
    _T.NSEC3: (*_HASHING, f.next_hash(), f.types()),
    _T.NSEC3PARAM: _HASHING,
}  # fmt: skip
_FOLDED = frozenset(rtype for rtype, layout in FIELDS.items() if any(field.fold for field in layout))

# Octets of a digest by its type (RFC 4034, 4509, 6605); others are not ours to judge.
_DIGEST_SIZES = {1: 20, 2: 32, 4: 48}
# Types of dnspython's that hold names: a pointer in one of those would be followed, and so shows as a difference.
_FOREIGN_NAMES = frozenset({_T.SIG, _T.HIP, _T.IPSECKEY, _T.SVCB, _T.HTTPS, _T.LP, _T.AMTRELAY, _T.DSYNC, _T.NSAP_PTR})
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_GENERIC = re.compile(r"\\#[ \t]+([0-9]+)((?:[ \t]+[0-9A-Fa-f]+)*)[ \t]*", re.ASCII)


def from_text(rtype: int, text: str, origin: bytes) -> bytes:
    """Wire rdata of master-file text; ``origin`` completes relative names. Raises InvalidData."""
    return from_clean(rtype, tokens.clean(text), origin)


def from_clean(rtype: int, text: str, origin: bytes) -> bytes:
    """As ``from_text``, of text on one line without parentheses and comments."""
    if text.lstrip().startswith("\\#"):
        rdata = _from_generic(rtype, text)
    elif (layout := FIELDS.get(rtype)) is not None:
        rdata = _from_words(
            rtype, layout, text.split() if tokens.NOT_PLAIN.search(text) is None else tokens.words(text), origin
        )
    else:
        _refuse_meta(rtype)
        rdata = _foreign_from_text(rtype, text, origin)
    if len(rdata) > MAX_RDATA:
        raise InvalidData(f"{type_to_text(rtype)}: {len(rdata)} octets of rdata; {MAX_RDATA} is the most")
    return rdata


def from_plain(rtype: int) -> Callable[[str, bytes], bytes]:
    """For a type of ``FIELDS``: what takes plain text (no escapes, parentheses, comments) and the origin.

    The text is words, or all of it strings in quotes with blanks between them. It raises InvalidData, ValueError or
    OSError; ``from_clean`` has the words for people.
    """
    layout = FIELDS[rtype]
    plain: dict[int, Callable[[str, bytes], bytes]] = {
        _T.A: f.plain_address4, _T.AAAA: f.plain_address6, _T.SRV: f.plain_service,
        **{kind: f.plain_name for kind in FIELDS if FIELDS[kind] is _NAME},
        **{kind: f.plain_host for kind in FIELDS if FIELDS[kind] is _HOST},
    }  # fmt: skip
    if rtype in plain:
        return plain[rtype]

    def read(text: str, origin: bytes) -> bytes:
        if layout is _TEXT:
            rdata = f.plain_strings(text)
        elif '"' not in text:
            rdata = _from_words(rtype, layout, text.split(), origin)
        else:
            raise ValueError(text)
        if len(rdata) > MAX_RDATA:
            raise ValueError(text)
        return rdata

    return read


def from_user(rtype: int, text: str, origin: bytes) -> bytes:
    """As ``from_text``, for text typed as an argument: text strings without quotes are one string.

    It is cut into strings of 255 octets where it is longer (RFC 1035, 3.3). Raises InvalidData.
    """
    if FIELDS.get(rtype) is not _TEXT or '"' in text or text.lstrip().startswith("\\#"):
        return from_text(rtype, text, origin)
    data = tokens.octets(text.strip())
    cut = [data[at : at + 255] for at in range(0, len(data), 255)] or [b""]
    rdata = b"".join([bytes((len(part),)) + part for part in cut])
    if len(rdata) > MAX_RDATA:
        raise InvalidData(f"{len(rdata)} octets of rdata; {MAX_RDATA} is the most")
    return rdata


def to_text(rtype: int, rdata: bytes) -> str:
    """Master-file text on one line, names absolute; ``\\# length hex`` where the type has no text for it."""
    layout = FIELDS.get(rtype)
    try:
        if layout is not None:
            return _to_words(layout, rdata)
        text = _foreign_to_text(rtype, rdata)
        # What the text would change (say, a LOC with a size of 0e5) is kept as it is.
        if from_clean(rtype, text, b"\x00") == rdata:
            return text
    except InvalidData:
        pass
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


def validate(rtype: int, rdata: bytes) -> None:
    """Raises InvalidData when the rdata is not well-formed for its type, or the type is none that a zone can hold."""
    if len(rdata) > MAX_RDATA:
        raise InvalidData(f"{len(rdata)} octets of rdata; {MAX_RDATA} is the most")
    layout = FIELDS.get(rtype)
    if layout is None:
        _refuse_meta(rtype)
        _foreign_validate(rtype, rdata)
        return
    try:
        _spans(layout, rdata)
        if layout is _DIGEST:
            _check_digest(rdata)
    except InvalidData as error:
        raise InvalidData(f"{type_to_text(rtype)}: {error.message}") from None


def canonical(rtype: int, rdata: bytes) -> bytes:
    """The rdata with its names lower-cased (RFC 4034, 6.2; RFC 6840, 5.1): two records are equal when these are.

    Raises InvalidData.
    """
    if rtype not in _FOLDED:
        return rdata
    layout = FIELDS[rtype]
    spans = _spans(layout, rdata)
    return b"".join(
        [
            rdata[start:end].lower() if field.fold else rdata[start:end]
            for field, (start, end) in zip(layout, spans, strict=True)
        ]
    )


def names_at(rtype: int, rdata: bytes) -> list[tuple[int, int]]:
    """Where the names begin and end that may be compressed in a message (RFC 3597, 4). Raises InvalidData."""
    if rtype not in rrtypes.COMPRESSIBLE:
        return []
    layout = FIELDS[rtype]
    return [span for field, span in zip(layout, _spans(layout, rdata), strict=True) if field.fold]


def _from_words(rtype: int, layout: tuple[Field, ...], found: list[str], origin: bytes) -> bytes:
    words = iter(found)
    try:
        rdata = b"".join([field.read(words, origin) for field in layout])
        if (extra := next(words, None)) is not None:
            raise InvalidData(f"{extra!r} is too much")
        if layout is _DIGEST:
            _check_digest(rdata)
    except StopIteration:
        raise InvalidData(f"{_usage(rtype)}: something is missing") from None
    except InvalidData as error:
        raise InvalidData(f"{_usage(rtype)}: {error.message}") from None
    return rdata


def _usage(rtype: int) -> str:
    return f"{type_to_text(rtype)} ({' '.join(field.what for field in FIELDS[rtype])})"


def _to_words(layout: tuple[Field, ...], rdata: bytes) -> str:
    if len(layout) == 1 and layout[0].end(rdata, 0) == len(rdata):
        return layout[0].show(rdata)
    spans = _spans(layout, rdata)
    shown = [field.show(rdata[start:end]) for field, (start, end) in zip(layout, spans, strict=True)]
    return " ".join([text for text in shown if text])


def _spans(layout: tuple[Field, ...], rdata: bytes) -> list[tuple[int, int]]:
    spans = []
    at = 0
    for field in layout:
        end = field.end(rdata, at)
        spans.append((at, end))
        at = end
    if at != len(rdata):
        raise InvalidData("the rdata is too long")
    return spans


def _check_digest(rdata: bytes) -> None:
    wanted = _DIGEST_SIZES.get(rdata[3])
    if wanted is not None and len(rdata) - 4 != wanted:
        raise InvalidData(f"a digest of type {rdata[3]} has {wanted} octets, not {len(rdata) - 4}")


def _from_generic(rtype: int, text: str) -> bytes:
    match = _GENERIC.fullmatch(text.strip())
    if match is None or len(match[1]) > 5:
        raise InvalidData("unknown rdata is written \\# LENGTH HEX (RFC 3597, 5)")
    digits = "".join(match[2].split())
    if len(digits) != 2 * int(match[1]):
        raise InvalidData(f"\\# announces {int(match[1])} octets, and {len(digits)} hexadecimal digits follow")
    rdata = bytes.fromhex(digits)
    validate(rtype, rdata)
    return rdata


def _refuse_meta(rtype: int) -> None:
    # RFC 6895, 3.1: 128 to 255 ask or serve a message, no zone holds them.
    if rtype in rrtypes.META or rtype == 0 or 128 <= rtype <= 255:
        raise InvalidData(f"no zone holds records of type {type_to_text(rtype)}")


@lru_cache(maxsize=256)
def _is_known(rtype: int) -> bool:
    """Whether dnspython knows the type's form. Its parts are imported where they are first needed: they are slow."""
    import dns.rdata

    known = dns.rdata.get_rdata_class(1, _T.make(rtype))  # type: ignore[no-untyped-call]
    return known is not dns.rdata.GenericRdata


def _foreign_from_text(rtype: int, text: str, origin: bytes) -> bytes:
    if not _is_known(rtype):
        raise InvalidData(f"{type_to_text(rtype)} is known by its number only: write \\# LENGTH HEX (RFC 3597, 5)")
    import dns.name
    import dns.rdata

    escaped = _NOT_ASCII.sub(
        lambda run: "".join([f"\\{octet:03d}" for octet in run[0].encode("utf-8", "surrogateescape")]), text
    )
    try:
        base = dns.name.from_wire(origin, 0)[0]
        wire = dns.rdata.from_text("IN", _T.make(rtype), escaped, base, relativize=False).to_wire()
    except Exception as error:  # whatever a parser of forty types raises, the text is at fault
        raise InvalidData(f"{type_to_text(rtype)}: {error or type(error).__name__}") from None
    assert wire is not None
    return wire


def _foreign_to_text(rtype: int, rdata: bytes) -> str:
    if not _is_known(rtype):
        raise InvalidData("no text but the generic one")
    import dns.rdata

    try:
        return dns.rdata.from_wire("IN", _T.make(rtype), rdata, 0, len(rdata)).to_text()
    except Exception as error:
        raise InvalidData(f"{type_to_text(rtype)}: {error or type(error).__name__}") from None


def _foreign_validate(rtype: int, rdata: bytes) -> None:
    if not _is_known(rtype):
        return
    import dns.rdata

    try:
        wire = dns.rdata.from_wire("IN", _T.make(rtype), rdata, 0, len(rdata)).to_wire()
    except Exception as error:
        raise InvalidData(f"{type_to_text(rtype)}: {error or type(error).__name__}") from None
    if rtype in _FOREIGN_NAMES and wire != rdata:
        raise InvalidData(f"{type_to_text(rtype)}: a compressed or malformed name in rdata")
