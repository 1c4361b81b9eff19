"""Transfers signed with TSIG (RFC 8945): the key in every server's configuration, the request, and the verification."""

from __future__ import annotations

import base64
import hmac
import time

from . import zones
from .process import run_timed
from .servers import Site, ours, replace

KEY = "bench-transfer"  # shares no suffix with a zone: it is not compressed
_SECRET = bytes(range(32))
SECRET = base64.b64encode(_SECRET).decode()
_NAME = zones.wire_name(KEY)
_ALGORITHM = zones.wire_name("hmac-sha256.")
_FUDGE = (300).to_bytes(2, "big")
_NO_ERROR = b"\0\0\0\0"  # error, and length of other data
_HEAD = _NAME + b"\0\xfa\0\xff\0\0\0\0"  # TSIG, class ANY, TTL 0
_AT_MOST_UNSIGNED = 99  # messages in a row (5.3.1)


def permit(site: Site, name: str) -> None:
    """Change what ``Server.prepare`` wrote so that requests signed with the key are taken, too, and many at once."""
    if name == "dnsserver":
        with (site.folder / "dnsserver.toml").open("a") as out:
            out.write("[limits]\nmax-transfers-out = 100\ntcp-clients-per-source = 100\n")
        (site.folder / "key").write_text(SECRET)
        run_timed(ours(site, "key", "import", KEY, "hmac-sha256", "--file", "key"), site.folder)
        run_timed(ours(site, "access", "allow", "--global", "127.0.0.0/8", "--key", KEY), site.folder)
    elif name == "BIND":
        path = site.folder / "named.conf"
        replace(path, "options {", "options { transfers-out 100; tcp-clients 200;")
        path.write_text(f'key "{KEY}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n{path.read_text()}')
    elif name == "NSD":
        path, unsigned = site.folder / "nsd.conf", "    provide-xfr: 127.0.0.0/8 NOKEY\n"
        replace(path, unsigned, f"{unsigned}    provide-xfr: 127.0.0.0/8 {KEY}\n")
        replace(path, "server:\n", "server:\n    tcp-count: 200\n")
        with path.open("a") as out:
            out.write(f'key:\n    name: "{KEY}"\n    algorithm: hmac-sha256\n    secret: "{SECRET}"\n')
    elif name == "Knot":
        path = site.folder / "knot.conf"
        key = f"key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"
        signed = f"  - id: signed\n    address: 127.0.0.0/8\n    action: transfer\n    key: {KEY}\n"
        replace(path, "acl:\n  - id", f"{key}acl:\n{signed}  - id")
        replace(path, "    acl: local\n", "    acl: [local, signed]\n")
    else:
        with (site.folder / "pdns.conf").open("a") as out:
            out.write("max-tcp-connections=200\n")
        util = ["pdnsutil", f"--config-dir={site.folder}"]
        run_timed([*util, "import-tsig-key", KEY, "hmac-sha256", SECRET], site.folder)
        for zone in site.zones:
            run_timed([*util, "activate-tsig-key", zone.rstrip("."), KEY, "primary"], site.folder)


def _mac(data: bytes) -> bytes:
    return hmac.digest(_SECRET, data, "sha256")


def signed(message: bytes) -> tuple[bytes, bytes]:
    """A request with its TSIG record, and the MAC."""
    stamp = int(time.time()).to_bytes(6, "big") + _FUDGE
    mac = _mac(message + _NAME + b"\0\xff\0\0\0\0" + _ALGORITHM + stamp + _NO_ERROR)
    rdata = _ALGORITHM + stamp + len(mac).to_bytes(2, "big") + mac + message[:2] + _NO_ERROR
    count = int.from_bytes(message[10:12], "big") + 1
    record = _HEAD + len(rdata).to_bytes(2, "big") + rdata
    return message[:10] + count.to_bytes(2, "big") + message[12:] + record, mac


def verify(stream: bytes, mac: bytes) -> int:
    """How many messages of a transfer as it came over TCP are signed; ``mac`` is the request's.

    Raises RuntimeError where a signature is wrong or missing: the first and the last message have one, and at least
    every hundredth (RFC 8945, 5.3.1).
    """
    at = found = unsigned = 0
    pending = len(mac).to_bytes(2, "big") + mac
    while at < len(stream):
        end = at + 2 + int.from_bytes(stream[at : at + 2], "big")
        message, at = stream[at + 2 : end], end
        place = message.rfind(_HEAD) if int.from_bytes(message[10:12], "big") else -1
        if place < 0:
            pending += message
            unsigned += 1
            if unsigned > _AT_MOST_UNSIGNED or not found:
                raise RuntimeError("messages without a signature")
            continue
        times, size, given = _parts(message[place + len(_HEAD) + 2 :])
        bare = message[:10] + (int.from_bytes(message[10:12], "big") - 1).to_bytes(2, "big") + message[12:place]
        # All variables with the first one, then the times alone.
        variables = times if found else _NAME + b"\0\xff\0\0\0\0" + _ALGORITHM + times + _NO_ERROR
        if _mac(pending + bare + variables) != given:
            raise RuntimeError("a signature is wrong")
        pending = size + given
        found, unsigned = found + 1, 0
    if unsigned or not found:
        raise RuntimeError("the last message has no signature")
    return found


def _parts(rdata: bytes) -> tuple[bytes, bytes, bytes]:
    """Time with fudge, length of the MAC, and the MAC (RFC 8945, 4.2)."""
    if not rdata.startswith(_ALGORITHM):
        raise RuntimeError("another algorithm")
    at = len(_ALGORITHM)
    size = rdata[at + 8 : at + 10]
    return rdata[at : at + 8], size, rdata[at + 10 : at + 10 + int.from_bytes(size, "big")]
