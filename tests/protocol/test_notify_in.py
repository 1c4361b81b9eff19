"""NOTIFY that comes in (RFC 1996; R9): who is heard, what is answered, what becomes of it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import pytest

from dnsserver.protocol import notify_in, notify_message, tsig
from dnsserver.protocol.cookies import CookieJar, CookieSecrets
from dnsserver.protocol.dispatch import handle
from dnsserver.protocol.outcome import NotifyDenied, NotifyTaken, Peer, Reply
from dnsserver.protocol.server import ServerState, ZoneMeta
from dnsserver.protocol.tsig import Key
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists, Role
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import SOA
from dnsserver.zone.settings import ZoneSettings
from tests.protocol.answering import NOW, image

ZONE = "@ 60 SOA ns host 7 3600 600 86400 300\n@ 60 NS ns.example.org.\n"
SHA256 = names.from_text("hmac-sha256.")
KEYS = {text: Key(names.from_text(text + "."), SHA256, text.encode() * 16) for text in ("k1", "k2", "k9")}
FORGED = Key(KEYS["k1"].name, SHA256, b"not the secret at all")

# (name, primaries, allow-notify): the secondary zones, and others; their ids are their places.
ZONES: dict[str, tuple[str, ...]] = {
    "plain.test": ("primaries=192.0.2.1", "primaries=2001:db8::1"),
    "port.test": ("primaries=192.0.2.1:5301",),
    "keyed.test": ("primaries=192.0.2.1,key=k1",),
    "mixed.test": ("primaries=192.0.2.1,key=k1", "primaries=192.0.2.2", "primaries=192.0.2.3,key=k2"),
    "twice.test": ("primaries=192.0.2.1:53,key=k1", "primaries=192.0.2.1:54,key=k2"),
    "both.test": ("primaries=192.0.2.1:53,key=k1", "primaries=192.0.2.1:54"),
    "net.test": ("primaries=192.0.2.1", "allow-notify=198.51.100.0/24", "allow-notify=2001:db8:1::/48"),
    "netkey.test": ("primaries=192.0.2.1", "allow-notify=198.51.100.0/24,key=k1"),
    "anyone.test": ("primaries=192.0.2.1", "allow-notify=key=k2"),
    "mapped.test": ("primaries=::ffff:192.0.2.1",),
    "expired.test": ("primaries=192.0.2.1",),
    "empty.test": ("primaries=192.0.2.1",),
    "suspended.test": ("primaries=192.0.2.1",),
    "mine.test": ("also-notify=192.0.2.1", "allow-notify=192.0.2.1"),
}
IDS = {name: number for number, name in enumerate(ZONES)}


def served() -> ServerState:
    state = ServerState()
    # Whoever may transfer a zone is not heard for it (R9 is not R1).
    state.access = AccessLists((AccessEntry(ip_network("203.0.113.0/24")), AccessEntry(None, KEYS["k1"].name)))
    state.keys = {KEYS[text].name: KEYS[text] for text in ("k1", "k2")}
    for name, changes in ZONES.items():
        settings = ZoneSettings().with_change(changes)
        meta = ZoneMeta(
            IDS[name], names.from_user(name), Role.PRIMARY if name == "mine.test" else Role.SECONDARY,
            suspended=name == "suspended.test", expired=name == "expired.test",
            notify_from=notify_in.senders(settings),
        )  # fmt: skip
        state.publish(meta, None if name == "empty.test" else image(ZONE, name + "."))
    return state


STATE = served()


class Case(NamedTuple):
    """``signed``: by which key. ``reason``: of the denial, None where it is accepted."""

    zone: str
    sender: str
    signed: str | None
    rcode: str
    reason: str | None


CASES = [
    # Primaries without key: unsigned, or any valid signature.
    Case("plain.test", "192.0.2.1", None, "NOERROR", None),
    Case("plain.test", "192.0.2.1", "k1", "NOERROR", None),
    Case("plain.test", "192.0.2.1", "k2", "NOERROR", None),
    Case("plain.test", "2001:db8::1", None, "NOERROR", None),
    Case("plain.test", "::ffff:192.0.2.1", None, "NOERROR", None),
    Case("plain.test", "192.0.2.2", None, "REFUSED", "not-a-primary"),
    Case("plain.test", "192.0.2.2", "k1", "REFUSED", "not-a-primary"),
    Case("plain.test", "2001:db8::2", None, "REFUSED", "not-a-primary"),
    Case("plain.test", "203.0.113.1", None, "REFUSED", "not-a-primary"),
    Case("plain.test", "203.0.113.1", "k1", "REFUSED", "not-a-primary"),
    Case("PLAIN.test", "192.0.2.1", None, "NOERROR", None),
    # The port is the one that is asked, not the one that NOTIFY comes from.
    Case("port.test", "192.0.2.1", None, "NOERROR", None),
    Case("port.test", "192.0.2.2", None, "REFUSED", "not-a-primary"),
    # A primary with a key: that key alone.
    Case("keyed.test", "192.0.2.1", "k1", "NOERROR", None),
    Case("keyed.test", "192.0.2.1", None, "REFUSED", "key-required"),
    Case("keyed.test", "192.0.2.1", "k2", "REFUSED", "wrong-key"),
    Case("keyed.test", "192.0.2.2", "k1", "REFUSED", "not-a-primary"),
    Case("keyed.test", "192.0.2.2", None, "REFUSED", "not-a-primary"),
    # Each primary by its own key.
    Case("mixed.test", "192.0.2.1", "k1", "NOERROR", None),
    Case("mixed.test", "192.0.2.2", None, "NOERROR", None),
    Case("mixed.test", "192.0.2.2", "k2", "NOERROR", None),
    Case("mixed.test", "192.0.2.3", "k2", "NOERROR", None),
    Case("mixed.test", "192.0.2.3", "k1", "REFUSED", "wrong-key"),
    Case("mixed.test", "192.0.2.1", "k2", "REFUSED", "wrong-key"),
    Case("mixed.test", "192.0.2.1", None, "REFUSED", "key-required"),
    # One address twice: either entry will do.
    Case("twice.test", "192.0.2.1", "k1", "NOERROR", None),
    Case("twice.test", "192.0.2.1", "k2", "NOERROR", None),
    Case("twice.test", "192.0.2.1", None, "REFUSED", "key-required"),
    Case("both.test", "192.0.2.1", None, "NOERROR", None),
    Case("both.test", "192.0.2.1", "k2", "NOERROR", None),
    # allow-notify, beside the primaries.
    Case("net.test", "192.0.2.1", None, "NOERROR", None),
    Case("net.test", "198.51.100.77", None, "NOERROR", None),
    Case("net.test", "198.51.100.77", "k2", "NOERROR", None),
    Case("net.test", "198.51.101.1", None, "REFUSED", "not-a-primary"),
    Case("net.test", "2001:db8:1:2::3", None, "NOERROR", None),
    Case("net.test", "2001:db8:2::3", None, "REFUSED", "not-a-primary"),
    Case("netkey.test", "198.51.100.77", "k1", "NOERROR", None),
    Case("netkey.test", "198.51.100.77", None, "REFUSED", "key-required"),
    Case("netkey.test", "198.51.100.77", "k2", "REFUSED", "wrong-key"),
    Case("netkey.test", "198.51.101.1", "k1", "REFUSED", "not-a-primary"),
    Case("anyone.test", "203.0.113.9", "k2", "NOERROR", None),
    Case("anyone.test", "203.0.113.9", "k1", "REFUSED", "wrong-key"),
    Case("anyone.test", "203.0.113.9", None, "REFUSED", "key-required"),
    Case("anyone.test", "192.0.2.1", None, "NOERROR", None),
    Case("mapped.test", "192.0.2.1", None, "NOERROR", None),
    # The state of the zone.
    Case("expired.test", "192.0.2.1", None, "NOERROR", None),
    Case("empty.test", "192.0.2.1", None, "NOERROR", None),
    Case("suspended.test", "192.0.2.1", None, "REFUSED", "suspended"),
    Case("suspended.test", "192.0.2.9", None, "REFUSED", "not-a-primary"),
    Case("mine.test", "192.0.2.1", None, "REFUSED", "primary-zone"),
    Case("mine.test", "192.0.2.1", "k1", "REFUSED", "primary-zone"),
    # Zones that are not here; what is below a zone is none.
    Case("other.test", "192.0.2.1", None, "NOTAUTH", "zone-not-here"),
    Case("other.test", "192.0.2.1", "k1", "NOTAUTH", "zone-not-here"),
    Case("www.plain.test", "192.0.2.1", None, "NOTAUTH", "zone-not-here"),
    Case("test", "192.0.2.1", None, "NOTAUTH", "zone-not-here"),
    # A bad signature is never heard, whatever its address (RFC 8945, 5.2), nor asked which zone it is for.
    Case("plain.test", "192.0.2.1", "forged", "NOTAUTH", "badsig"),
    Case("keyed.test", "192.0.2.1", "forged", "NOTAUTH", "badsig"),
    Case("plain.test", "192.0.2.1", "k9", "NOTAUTH", "badkey"),
    Case("other.test", "192.0.2.1", "k9", "NOTAUTH", "badkey"),
    Case("keyed.test", "192.0.2.1", "late", "NOTAUTH", "badtime"),
]


def notify(
    zone: str, signed: str | None = None, *, serial: int | None = 9, edns: bool = True, qtype: str = "SOA"
) -> bytes:
    request = dns.message.make_query(zone, qtype, use_edns=0 if edns else -1)
    request.set_opcode(dns.opcode.NOTIFY)
    request.flags = (request.flags & ~dns.flags.RD) | dns.flags.AA
    if serial is not None:
        request.answer.append(dns.rrset.from_text(zone + ".", 0, "IN", "SOA", f"ns.{zone}. h.{zone}. {serial} 1 2 3 4"))
    wire = request.to_wire()
    if signed is None:
        return wire
    key = {"forged": FORGED, "late": KEYS["k1"]}.get(signed) or KEYS[signed]
    return tsig.sign_request(wire, key, NOW - (1000 if signed == "late" else 0))[0]


def answered(packet: bytes, sender: str = "192.0.2.1", *, tcp: bool = False) -> tuple[Reply, dns.message.Message]:
    outcome = handle(STATE, packet, Peer(sender, 40000, tcp), NOW)
    assert isinstance(outcome, Reply)
    return outcome, dns.message.from_wire(outcome.wire, keyring=False)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_a_notify_is_judged(case: Case, tcp: bool) -> None:
    """R9: from a primary or ``allow-notify`` it is heard; any other is refused, and told to the log."""
    reply, message = answered(notify(case.zone, case.signed), case.sender, tcp=tcp)
    assert dns.rcode.to_text(message.rcode()) == case.rcode
    assert message.opcode() == dns.opcode.NOTIFY
    assert (reply.view, reply.cacheable, reply.refusal) == (None, False, None)
    apex = names.from_user(case.zone.lower())
    signer = None if case.signed is None else b"\x02k9\x00" if case.signed == "k9" else b"\x02k1\x00"
    if case.signed == "k2":
        signer = b"\x02k2\x00"
    if case.reason is None:
        assert reply.notify == NotifyTaken(IDS[case.zone.lower()], apex, signer, 9)
    else:
        assert reply.notify == NotifyDenied(apex, signer, case.reason)
    # RFC 1996, 4.7 and RFC 8945, 5.3: the question is echoed, nothing else is, and what was signed is answered so.
    assert [(str(q.name).lower(), int(q.rdtype)) for q in message.question] == [(case.zone.lower() + ".", SOA)]
    assert [message.answer, message.authority] == [[], []]
    assert bool(message.flags & dns.flags.AA) is (case.reason is None)
    assert message.had_tsig is (case.signed is not None)


def test_there_are_cases_enough() -> None:
    assert len(set(CASES)) == len(CASES) >= 40
    assert {case.reason for case in CASES} == {
        None, "not-a-primary", "key-required", "wrong-key", "primary-zone", "zone-not-here", "suspended", "badsig",
        "badkey", "badtime",
    }  # fmt: skip


def test_the_answer_to_a_signed_one_verifies() -> None:
    """Both ends of this program, back to back."""
    soa = Record(names.from_text("keyed.test."), SOA, 60, b"\0\0" + (12).to_bytes(4, "big") + bytes(16))
    packet, expected = notify_message.build(soa, 77, "192.0.2.53", 53, KEYS["k1"], NOW)
    reply, _ = answered(packet)
    assert reply.notify == NotifyTaken(IDS["keyed.test"], names.from_text("keyed.test."), KEYS["k1"].name, 12)
    assert notify_message.read_answer(reply.wire, ("192.0.2.53", 53), expected, NOW) == 0


# The hint (RFC 1996, 3.7)


def test_without_a_hint_it_is_heard_too() -> None:
    reply, _ = answered(notify("plain.test", serial=None))
    assert isinstance(reply.notify, NotifyTaken)
    assert reply.notify.serial is None


@pytest.mark.parametrize(
    ("owner", "kind", "rdata"),
    [
        ("other.test.", "SOA", ". . 9 1 2 3 4"),
        ("plain.test.", "A", "192.0.2.1"),
        ("plain.test.", "TXT", '"' + "x" * 30 + '"'),
        ("plain.test.", "TYPE6", r"\# 20 " + "00" * 20),
    ],
)
def test_what_is_no_soa_of_the_zone_is_no_hint(owner: str, kind: str, rdata: str) -> None:
    request = dns.message.from_wire(notify("plain.test", serial=None))
    wire = bytearray(request.to_wire()[:-11])
    wire[7], wire[11] = 1, 0
    record = dns.message.make_query(".", "A")
    if kind == "TYPE6":
        octets = names.from_text(owner) + b"\0\x06\0\x01" + bytes(4) + b"\0\x14" + bytes(20)
    else:
        record.answer.append(dns.rrset.from_text(owner, 0, "IN", kind, rdata))
        octets = record.to_wire()[17:]
    reply, message = answered(bytes(wire) + octets)
    assert message.rcode() == dns.rcode.NOERROR
    assert isinstance(reply.notify, NotifyTaken)
    assert reply.notify.serial is None


# What is no NOTIFY that can be understood


@pytest.mark.parametrize("qtype", ["A", "NS", "AXFR", "IXFR", "ANY"])
def test_only_soa_can_have_changed(qtype: str) -> None:
    """RFC 1996, 3.7."""
    reply, message = answered(notify("plain.test", serial=None, qtype=qtype))
    assert message.rcode() == dns.rcode.FORMERR
    assert reply.notify is None


@pytest.mark.parametrize(
    "change",
    [
        lambda wire: wire[:-1],
        lambda wire: wire + b"\0",
        lambda wire: wire[:4] + b"\0\0" + wire[6:],
        lambda wire: wire[:4] + b"\0\2" + wire[6:],
        lambda wire: wire[:6] + b"\0\2" + wire[8:],
        lambda wire: wire[:12] + b"\xc0\x0c" + wire[14:],
    ],
)
def test_a_broken_one_is_formerr(change: object) -> None:
    assert callable(change)
    reply, message = answered(change(notify("plain.test", edns=False)))
    assert message.rcode() == dns.rcode.FORMERR
    assert reply.notify is None


def test_another_class_is_not_here() -> None:
    wire = bytearray(notify("plain.test", serial=None, edns=False))
    wire[-1] = 3
    reply, message = answered(bytes(wire))
    assert message.rcode() == dns.rcode.NOTAUTH
    assert reply.notify == NotifyDenied(names.from_text("plain.test."), None, "zone-not-here")


# EDNS


@pytest.mark.parametrize(
    ("zone", "sender", "expected"),
    [
        ("plain.test", "192.0.2.1", []),
        ("plain.test", "192.0.2.9", [18]),
        ("other.test", "192.0.2.1", [20]),
    ],
)
def test_extended_errors_go_where_edns_came(zone: str, sender: str, expected: list[int]) -> None:
    """RFC 6891, 7; RFC 8914."""
    _, message = answered(notify(zone), sender)
    assert [int(option.code) for option in message.options if isinstance(option, dns.edns.EDEOption)] == expected
    _, plain = answered(notify(zone, edns=False), sender)
    assert plain.edns == -1


def test_a_cookie_is_answered() -> None:
    """RFC 7873, 5.2: in every answer."""
    state = served()
    state.cookies = CookieJar(CookieSecrets(bytes(16)))
    request = dns.message.from_wire(notify("plain.test"))
    request.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")])
    for sender in ("192.0.2.1", "192.0.2.9"):
        outcome = handle(state, request.to_wire(), Peer(sender, 53, False), NOW)
        assert isinstance(outcome, Reply)
        options = dns.message.from_wire(outcome.wire).options
        assert dns.edns.OptionType.COOKIE in [option.otype for option in options]


def test_an_unknown_edns_version_is_badvers() -> None:
    request = dns.message.from_wire(notify("plain.test"))
    request.use_edns(1)
    reply, message = answered(request.to_wire())
    assert message.rcode() == dns.rcode.BADVERS
    assert reply.notify is None
