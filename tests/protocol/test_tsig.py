"""TSIG of requests and of errors (RFC 8945): judged against dnspython, and against a digest built by hand."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.errors import InvalidData
from dnsserver.protocol import tsig
from dnsserver.protocol.tsig import Key, Status, Unauthentic
from dnsserver.zone import names
from dnsserver.zone.access import Signature
from dnsserver.zone.algorithms import algorithm_from_text
from tests.protocol.signing import (
    ALGORITHMS,
    NOW,
    QUESTION,
    SECRET,
    append,
    make_key,
    reference,
    request,
    signed,
    theirs,
    verify,
)

# Requests (5.2)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_request_that_dnspython_signed_is_valid(algorithm: str) -> None:
    key = make_key(algorithm, weak=True)
    found = verify(request(key), key)
    assert (found.status, found.key, found.signature) == (Status.VALID, key, Signature.VALID)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_request_of_ours_is_valid_for_dnspython(algorithm: str) -> None:
    key = make_key(algorithm)
    packet, mac = tsig.sign_request(request(None), key, NOW)
    at = tsig.find(packet)
    assert at is not None
    parsed = dns.message.from_wire(packet, keyring=False)
    assert parsed.tsig is not None
    rdata = parsed.tsig[0]
    assert rdata.mac == mac
    reference.validate(packet, theirs(key), parsed.tsig.name, rdata, NOW, b"", at)


def test_the_digest_of_a_request_built_by_hand() -> None:
    """4.3.2, 4.3.3 and RFC 2104 written out: message, name, class ANY, TTL 0, algorithm, times, error, other."""
    message = bytes.fromhex("beef 0000 0001 0000 0000 0000".replace(" ", "")) + QUESTION
    variables = (
        b"\x03key\x04test\x00" + b"\x00\xff" + b"\x00\x00\x00\x00" + b"\x0bhmac-sha256\x00"
        + bytes.fromhex("00006553f100") + bytes.fromhex("012c") + b"\x00\x00" + b"\x00\x00"
    )  # fmt: skip
    secret = SECRET.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(octet ^ 0x36 for octet in secret) + message + variables).digest()
    mac = hashlib.sha256(bytes(octet ^ 0x5C for octet in secret) + inner).digest()
    packet, found = tsig.sign_request(message, make_key(), NOW)
    assert found == mac
    assert packet[10:12] == b"\0\1"
    assert packet[len(message) :] == (
        b"\x03key\x04test\x00" + bytes.fromhex("00fa 00ff 00000000 003d".replace(" ", "")) + b"\x0bhmac-sha256\x00"
        + bytes.fromhex("00006553f100 012c 0020".replace(" ", "")) + mac + bytes.fromhex("beef00000000")
    )  # fmt: skip


def test_names_of_key_and_algorithm_count_without_case_and_in_canonical_form() -> None:
    key = make_key()
    packet = request(key)
    upper = packet.replace(b"\x03key\x04test", b"\x03KeY\x04TEST").replace(b"\x0bhmac-sha256", b"\x0bHMAC-sha256")
    assert upper != packet
    assert verify(upper, key).status is Status.VALID


def test_a_compressed_owner_is_read() -> None:
    key = make_key(name="example.com.")
    packet = request(key)
    start = tsig.find(packet)
    assert start is not None
    compressed = packet[:start] + b"\xc0\x0c" + packet[start + len(key.name) :]
    assert verify(compressed, key).status is Status.VALID


def test_the_original_id_is_what_was_signed() -> None:
    """4.3.2: a forwarder may have changed the ID of the message."""
    key = make_key()
    assert verify(b"\x99\x99" + request(key)[2:], key).status is Status.VALID


@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-md5"])
def test_weak_algorithms_need_the_keys_opt_in(algorithm: str) -> None:
    assert verify(request(make_key(algorithm)), make_key(algorithm)).status is Status.BADKEY
    assert verify(request(make_key(algorithm)), make_key(algorithm, weak=True)).status is Status.VALID


def test_an_unknown_key_and_another_algorithm_are_badkey() -> None:
    """5.2.1."""
    packet = request(make_key())
    assert verify(packet).status is Status.BADKEY
    assert verify(packet, make_key(name="other.")).status is Status.BADKEY
    assert verify(packet, make_key("hmac-sha512")).status is Status.BADKEY
    found = verify(packet, make_key("hmac-sha512"))
    assert found.key is None
    assert found.signature is Signature.BAD


def test_truncated_algorithm_names_are_not_known() -> None:
    key = Key(names.from_text("key.test."), names.from_text("hmac-sha256-128."), SECRET)
    assert not key.usable
    assert verify(request(key), key).status is Status.BADKEY


@pytest.mark.parametrize(
    ("skew", "fudge", "cap", "status"),
    [
        (300, 300, 300, Status.VALID), (-300, 300, 300, Status.VALID), (301, 300, 300, Status.BADTIME),
        (-301, 300, 300, Status.BADTIME), (301, 65535, 300, Status.BADTIME), (61, 60, 300, Status.BADTIME),
        (60, 60, 300, Status.VALID), (11, 300, 10, Status.BADTIME), (0, 0, 300, Status.VALID),
    ],
)  # fmt: skip
def test_the_time_counts_within_the_fudge_and_the_fudge_up_to_a_cap(
    skew: int, fudge: int, cap: int, status: Status
) -> None:
    """5.2.3; LIMITS tsig-fudge."""
    key = make_key()
    assert verify(request(key, fudge=fudge), key, now=NOW + skew + 0.5 * (skew > 0), cap=cap).status is status


@pytest.mark.parametrize(
    ("algorithm", "size", "status"),
    [
        ("hmac-sha256", 32, Status.VALID), ("hmac-sha256", 31, Status.BADTRUNC), ("hmac-sha256", 16, Status.BADTRUNC),
        ("hmac-sha256", 15, Status.FORMERR), ("hmac-sha256", 0, Status.FORMERR), ("hmac-sha512", 31, Status.FORMERR),
        ("hmac-sha1", 10, Status.BADTRUNC), ("hmac-sha1", 9, Status.FORMERR), ("hmac-md5", 10, Status.BADTRUNC),
        ("hmac-md5", 8, Status.FORMERR),
    ],
)  # fmt: skip
def test_short_macs(algorithm: str, size: int, status: Status) -> None:
    """5.2.2.1: below half of the hash or 10 octets FORMERR; 5.2.4: right but short BADTRUNC."""
    key = make_key(algorithm, weak=True)
    packet, *_ = signed(request(None), key, truncate=size)
    assert verify(packet, key).status is status


def test_a_long_mac_is_formerr_and_a_short_wrong_one_badsig() -> None:
    key = make_key()
    packet, *_ = signed(request(None), key, truncate=20)
    wrong = packet[:-7] + bytes((packet[-7] ^ 1,)) + packet[-6:]
    assert verify(wrong, key).status is Status.BADSIG
    at = tsig.find(packet)
    assert at is not None
    record = tsig.parse(packet, at)
    assert record is not None
    long = tsig._append(request(None), record._replace(mac=bytes(33)))
    assert verify(long, key).status is Status.FORMERR


def test_time_is_judged_before_truncation() -> None:
    """5.2.4 comes after 5.2.3."""
    key = make_key()
    packet, *_ = signed(request(None), key, truncate=20)
    assert verify(packet, key, now=NOW + 1000).status is Status.BADTIME


def _broken_records() -> dict[str, Callable[[bytes, bytes], bytes]]:
    """How to add ``rdata`` to a message so that it is FORMERR."""
    name = b"\x03key\x04test\x00"
    return {
        "class IN": lambda wire, rdata: append(wire, name, rdata, rclass=1),
        "TTL 1": lambda wire, rdata: append(wire, name, rdata, ttl=1),
        "cut off": lambda wire, rdata: append(wire, name, rdata[:20]),
        "octets after it": lambda wire, rdata: append(wire, name, rdata) + b"\0",
        "rdata too long": lambda wire, rdata: append(wire, name, rdata + b"\0"),
        "compressed algorithm": lambda wire, rdata: append(wire, name, b"\xc0\x0c" + rdata[13:]),
        "a pointer to itself": lambda wire, rdata: append(wire, b"\xc0" + bytes((len(wire),)), rdata),
    }


@pytest.mark.parametrize("kind", _broken_records())
def test_broken_records_are_formerr(kind: str) -> None:
    """4.2: class ANY, TTL 0, uncompressed; 5.2: last in the message."""
    key, wire = make_key(), request(None)
    at = tsig.find(request(key))
    assert at is not None
    rdata = request(key)[at + len(key.name) + 10 :]
    packet = _broken_records()[kind](wire, rdata)
    assert tsig.verify(packet, len(wire), {key.name: key}, NOW).status is Status.FORMERR


def test_a_record_after_the_tsig_is_formerr() -> None:
    key = make_key()
    packet = request(key)
    at = tsig.find(packet)
    assert at is not None
    longer = packet[:10] + b"\0\2" + packet[12:] + b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    assert tsig.find(longer) is None
    assert tsig.verify(longer, at, {key.name: key}, NOW).status is Status.FORMERR


@given(st.data())
def test_no_changed_octet_stays_valid(data: st.DataObject) -> None:
    key = make_key()
    packet = bytearray(request(key))
    # The message's own ID is not signed, the original ID is (4.3.2).
    place = data.draw(st.integers(2, len(packet) - 1))
    before = bytes(packet[place : place + 1])
    packet[place] ^= 1 << data.draw(st.integers(0, 7))
    at = tsig.find(request(key))
    assert at is not None
    found = tsig.verify(bytes(packet), at, {key.name: key}, NOW)
    if bytes(packet[place : place + 1]).lower() == before.lower() and place >= at:
        return  # the case of the TSIG's names does not count
    assert found.status is not Status.VALID


@given(st.binary(max_size=120), st.integers(0, 130))
def test_whatever_comes_is_judged(packet: bytes, at: int) -> None:
    key = make_key()
    assert tsig.verify(packet, at, {key.name: key}, NOW).status is not Status.VALID


# Error replies (5.2, 5.3.2)


def reply_to(packet: bytes, *keys: Key, now: float = NOW, opt: bytes = b"") -> tuple[bytes, dns.message.Message]:
    found = verify(packet, *keys, now=now)
    wire = tsig.error_reply(packet, QUESTION, found, now, opt)
    return wire, dns.message.from_wire(wire, keyring=False)


@pytest.mark.parametrize("error", [dns.rcode.BADKEY, dns.rcode.BADSIG])
def test_badkey_and_badsig_go_unsigned(error: dns.rcode.Rcode) -> None:
    """5.2.1, 5.2.2, 5.3.2; R5."""
    key = make_key()
    packet = request(key)
    known = Key(key.name, key.algorithm, b"another secret")
    _, reply = reply_to(packet, *([known] if error is dns.rcode.BADSIG else []))
    assert reply.rcode() == dns.rcode.NOTAUTH
    assert reply.flags & dns.flags.QR
    assert reply.question[0].name == dns.name.from_text("example.com")
    assert reply.tsig is not None
    rdata = reply.tsig[0]
    assert (rdata.error, rdata.mac, rdata.other) == (error, b"", b"")
    assert reply.tsig.name == dns.name.from_text("key.test")


def test_badtime_is_signed_and_tells_the_time() -> None:
    """5.2.3: the client's time in Time Signed, the server's in Other Data."""
    key = make_key()
    packet = request(key)
    wire, reply = reply_to(packet, key, now=NOW + 900)
    assert reply.rcode() == dns.rcode.NOTAUTH
    assert reply.tsig is not None
    rdata = reply.tsig[0]
    assert (rdata.error, rdata.time_signed, rdata.other) == (
        dns.rcode.BADTIME, NOW, (NOW + 900).to_bytes(6, "big"),
    )  # fmt: skip
    with pytest.raises(Unauthentic, match="peer-badtime"):
        tsig.verify_answer(wire, key, verify(packet, key, now=NOW + 900).mac, NOW)
    check_mac(wire, key, packet)


def test_badtrunc_is_signed_at_full_length() -> None:
    """5.2.4; 5.3: the request's MAC as it was sent, truncated, is digested."""
    key = make_key()
    packet, *_ = signed(request(None), key, truncate=16)
    wire, reply = reply_to(packet, key)
    assert reply.tsig is not None
    assert reply.tsig[0].error == dns.rcode.BADTRUNC
    assert len(reply.tsig[0].mac) == 32
    check_mac(wire, key, packet)


def check_mac(wire: bytes, key: Key, packet: bytes) -> None:
    """The MAC of a signed error, by dnspython's digest (its ``validate`` stops at the error field)."""
    reply, asked = dns.message.from_wire(wire, keyring=False), dns.message.from_wire(packet, keyring=False)
    assert reply.tsig is not None
    assert asked.tsig is not None
    at = tsig.find(wire)
    plain = wire[:10] + struct.pack(">H", struct.unpack_from(">H", wire, 10)[0] - 1) + wire[12:at]
    context = reference._digest(plain, theirs(key), reply.tsig[0], None, asked.tsig[0].mac)
    assert context.sign() == reply.tsig[0].mac


def test_a_broken_tsig_is_answered_formerr_without_tsig() -> None:
    key = make_key()
    packet, *_ = signed(request(None), key, truncate=5)
    wire, reply = reply_to(packet, key)
    assert reply.rcode() == dns.rcode.FORMERR
    assert tsig.find(wire) is None


def test_an_error_reply_keeps_opt_before_the_tsig() -> None:
    """RFC 6891, 7 and RFC 8945, 5.3: the TSIG is last."""
    opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)
    wire, reply = reply_to(request(make_key()), opt=opt)
    assert reply.edns == 0
    assert reply.tsig is not None
    assert tsig.find(wire) == len(wire) - 10 - len(make_key().name) - reply.tsig[0].to_wire().__len__()


# Keys


def test_a_secret_is_never_printed() -> None:
    assert "secret" not in repr(make_key())
    assert str(SECRET) not in repr(make_key())


def test_algorithms_as_people_write_them() -> None:
    assert algorithm_from_text("HMAC-SHA256.") == names.from_text("hmac-sha256.")
    assert algorithm_from_text("hmac-md5") == names.from_text("hmac-md5.sig-alg.reg.int.")
    with pytest.raises(InvalidData, match="hmac-sha512"):
        algorithm_from_text("hmac-sha256-128")


def test_find_refuses_broken_messages() -> None:
    packet = request(make_key())
    for broken in (packet[:-1], packet + b"\0", packet[:8], b""):
        with pytest.raises(ValueError, match="message"):
            tsig.find(broken)
    assert tsig.find(request(None)) is None
