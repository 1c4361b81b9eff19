"""TSIG of answers and transfers (RFC 8945, 5.3 to 5.4): judged against dnspython in both directions."""

from __future__ import annotations

import struct

import dns.message
import pytest

from dnsserver.protocol import tsig
from dnsserver.protocol.tsig import Key, ResponseVerifier, StreamSigner, Unauthentic
from tests.protocol.signing import (
    ALGORITHMS,
    NOW,
    QUESTION,
    STRONG,
    answer_to,
    make_key,
    reference,
    request,
    signed,
    theirs,
    verify,
)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_answer_of_ours_is_valid_for_dnspython_and_for_us(algorithm: str) -> None:
    key = make_key(algorithm)
    packet, mac = tsig.sign_request(request(None), key, NOW)
    plain = answer_to(packet)
    answer = tsig.sign(plain, key, mac, NOW)
    assert len(answer) == len(plain) + key.record_size
    tsig.verify_answer(answer, key, mac, NOW)
    at, parsed = tsig.find(answer), dns.message.from_wire(answer, keyring=False)
    assert parsed.tsig is not None
    reference.validate(answer, theirs(key), parsed.tsig.name, parsed.tsig[0], NOW, mac, at)


@pytest.mark.parametrize("algorithm", STRONG)
def test_every_message_of_a_stream_is_signed_as_dnspython_expects(algorithm: str) -> None:
    """5.3.1."""
    key = make_key(algorithm)
    packet, mac = tsig.sign_request(request(None), key, NOW)
    signer, verifier, context = StreamSigner(key, mac), ResponseVerifier(key, mac), None
    for number in range(5):
        message = signer.sign(answer_to(packet, 0x8400 | number << 4 & 0x70), NOW + number)
        at, parsed = tsig.find(message), dns.message.from_wire(message, keyring=False)
        assert parsed.tsig is not None
        context = reference.validate(
            message, theirs(key), parsed.tsig.name, parsed.tsig[0], NOW, mac, at, context, True
        )  # fmt: skip
        verifier.feed(message, at, NOW + number)
    verifier.finish()


def stream(key: Key, mac: bytes, pattern: list[bool]) -> list[bytes]:
    """Messages as dnspython's context signs them: True a signed one, False an unsigned one."""
    messages, context, first = [], None, True
    for number, is_signed in enumerate(pattern):
        wire = b"\x12\x34" + struct.pack(">HHHHH", 0x8400, 1, 0, 0, 0) + QUESTION + b""
        wire = wire[:2] + struct.pack(">H", 0x8400 | number % 8 << 4) + wire[4:]
        if is_signed:
            wire, _, context = signed(wire, key, request_mac=mac if first else b"", context=context, multi=True)
            first = False
        elif context is not None:
            context.update(wire)  # type: ignore[attr-defined]
        messages.append(wire)
    return messages


def read(key: Key, mac: bytes, messages: list[bytes], now: float = NOW) -> None:
    verifier = ResponseVerifier(key, mac)
    for message in messages:
        verifier.feed(message, tsig.find(message), now)
    verifier.finish()


@pytest.mark.parametrize("unsigned", [0, 1, 50, 99])
def test_unsigned_messages_between_signed_ones_are_digested(unsigned: int) -> None:
    """5.3.1: at most 99 in between."""
    key = make_key()
    read(key, b"m" * 32, stream(key, b"m" * 32, [True, *[False] * unsigned, True, False, True]))


@pytest.mark.parametrize(
    "pattern",
    [[True, *[False] * 100, True], [False, True], [True, False], [True, False, True, False], [False]],
    ids=["100 in between", "first unsigned", "last unsigned", "last of four unsigned", "nothing signed"],
)
def test_streams_that_are_not_signed_enough(pattern: list[bool]) -> None:
    key = make_key()
    with pytest.raises(Unauthentic, match="unsigned"):
        read(key, b"m" * 32, stream(key, b"m" * 32, pattern))


def test_an_empty_stream_is_not_authentic() -> None:
    with pytest.raises(Unauthentic, match="unsigned"):
        read(make_key(), b"m" * 32, [])


@pytest.mark.parametrize("change", ["drop", "swap", "forge unsigned", "repeat"])
def test_a_stream_that_was_tampered_with(change: str) -> None:
    key, mac = make_key(), b"m" * 32
    messages = stream(key, mac, [True, False, True, True])
    if change == "drop":
        del messages[1]
    elif change == "swap":
        messages[2], messages[3] = messages[3], messages[2]
    elif change == "repeat":
        messages.insert(3, messages[2])
    else:
        messages[1] = messages[1][:-1] + b"\x02"
    with pytest.raises(Unauthentic, match="badsig"):
        read(key, mac, messages)


def test_answers_that_are_not_to_be_believed() -> None:
    """5.4."""
    key = make_key()
    packet, mac = tsig.sign_request(request(None), key, NOW)
    plain = answer_to(packet)

    def reason(message: bytes, now: float = NOW) -> str:
        with pytest.raises(Unauthentic) as caught:
            tsig.verify_answer(message, key, mac, now)
        return caught.value.reason

    answer = tsig.sign(plain, key, mac, NOW)
    assert reason(plain) == "unsigned"
    assert reason(answer, NOW + 400) == "badtime"
    assert reason(tsig.sign(plain, key, b"another request's MAC", NOW)) == "badsig"
    assert reason(tsig.sign(plain, make_key(name="other."), mac, NOW)) == "badkey"
    assert reason(tsig.sign(plain, make_key("hmac-sha512"), mac, NOW)) == "badkey"
    assert reason(signed(plain, key, request_mac=mac, truncate=16)[0]) == "badtrunc"
    assert reason(answer[:-1]) == "formerr"
    assert reason(tsig.error_reply(packet, QUESTION, verify(packet), NOW)) == "peer-badkey"
    other = Key(key.name, key.algorithm, b"another secret")
    assert reason(tsig.error_reply(packet, QUESTION, verify(packet, other), NOW)) == "peer-badsig"
    late = verify(packet, key, now=NOW + 999)
    assert reason(tsig.error_reply(packet, QUESTION, late, NOW + 999)) == "peer-badtime"


def test_a_badtime_without_mac_is_told_as_such() -> None:
    """As NSD 4.6 sends it, against RFC 8945, 5.3.2; it is not believed either, but for what is said of it."""
    message = bytes.fromhex(
        "12348009000000000000000200002904d0000000000000087472616e73666572036b65790000fa00ff0000000000230b686d61632d73"
        "68613235360000006b01c66e012c000012340012000600006b01b85e"
    )
    with pytest.raises(Unauthentic, match="peer-badtime"):
        tsig.verify_answer(message, make_key(name="transfer.key."), b"MAC of the request", NOW)
