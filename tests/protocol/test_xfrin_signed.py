"""Signed transfers (RFC 8945, 5.3.1): nothing forged, replayed, or only partly signed is ever taken.

dnspython's ``xfr.Inbound`` before 2.9.2 took such: these tests are the regression tests for it (R5, R12).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest

from dnsserver.protocol import tsig
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrin import Asked, BadTransfer
from dnsserver.zone import names
from dnsserver.zone.algorithms import ALGORITHMS

from .incoming import (
    KEY,
    NEW,
    NOW,
    OLD,
    RESPONSE,
    WHOLE,
    ZONE,
    Message,
    address,
    answer,
    ask,
    compressed,
    reason,
    run,
    signed,
    soa,
)

OTHER_KEY = Key(names.from_text("k2."), KEY.algorithm, b"o" * 32)
OTHER_SECRET = Key(KEY.name, KEY.algorithm, b"o" * 32)
OTHER_ALGORITHM = Key(KEY.name, names.from_text("hmac-sha512."), KEY.secret)


def plain(asked: Asked, count: int = 4) -> list[bytes]:
    """The zone in ``count`` messages or a few more."""
    size = -(-len(WHOLE) // count)
    return [answer(WHOLE[at : at + size]).bytes(asked) for at in range(0, len(WHOLE), size)]


def sparse(messages: Sequence[bytes], asked: Asked, signs: Callable[[int], bool]) -> list[bytes]:
    """Only some are signed, each signature covering the unsigned ones before it (RFC 8945, 5.3.1)."""
    made: list[bytes] = []
    pending: list[bytes] = []
    mac, first = asked.mac, True
    for place, message in enumerate(messages):
        if not signs(place):
            pending.append(message)
            made.append(message)
            continue
        record = tsig._unsigned(message, KEY, NOW)
        variables = tsig._variables(record) if first else tsig._timers(record.time_signed, record.fudge)
        mac = KEY.mac(len(mac).to_bytes(2, "big"), mac, *pending, message, variables)
        made.append(tsig._append(message, record._replace(mac=mac)))
        pending, first = [], False
    return made


def one_by_one(asked: Asked, count: int) -> list[bytes]:
    """``count`` messages of one record each."""
    records = [NEW, *[address(f"h{number}", number) for number in range(count - 2)], NEW]
    return [answer([record]).bytes(asked) for record in records]


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS), ids=names.to_text)
def test_signed_with_each_algorithm(algorithm: bytes) -> None:
    key = Key(KEY.name, algorithm, KEY.secret, weak_allowed=True)
    asked = ask(key=key)
    assert run(signed(plain(asked), asked, key=key), asked).records == [NEW, *ZONE]


@pytest.mark.parametrize("serial", [None, 7])
def test_a_signed_zone_comes_in(serial: int | None) -> None:
    asked = ask(serial, KEY)
    for messages in (plain(asked), compressed(asked, WHOLE, 512)):
        assert sorted(run(signed(messages, asked), asked).records) == sorted([NEW, *ZONE])


def test_a_signed_difference_and_a_signed_nothing() -> None:
    asked = ask(7, KEY)
    step = [answer([record]).bytes(asked) for record in (NEW, OLD, address("a", 1), NEW, address("a", 2), NEW)]
    assert run(signed(step, asked), asked).kind == "ixfr"
    asked = ask(9, KEY)
    assert run(signed([answer([NEW]).bytes(asked)], asked), asked).kind == "current"


@pytest.mark.parametrize("gap", [1, 2, 50, 100])
def test_unsigned_messages_between_signed_ones(gap: int) -> None:
    asked = ask(key=KEY)
    messages = one_by_one(asked, 201)
    made = sparse(messages, asked, lambda place: place % gap == 0)
    assert len(run(made, asked).records) == 200


def test_a_hundred_unsigned_messages_in_a_row_are_too_many() -> None:
    asked = ask(key=KEY)
    made = sparse(one_by_one(asked, 203), asked, lambda place: place % 101 == 0)
    assert reason(made, asked) == "unauthenticated"


PARTLY: dict[str, Callable[[int], bool]] = {
    "none": lambda place: False,
    "all but the first": lambda place: place > 0,
    "all but the last": lambda place: place < 3,
    "the first alone": lambda place: place == 0,
    "the last alone": lambda place: place == 3,
    "the middle alone": lambda place: place in (1, 2),
}


@pytest.mark.parametrize("which", PARTLY)
def test_partly_signed(which: str) -> None:
    asked = ask(key=KEY)
    messages = plain(asked)
    assert len(messages) == 4
    assert reason(sparse(messages, asked, PARTLY[which]), asked) == "unauthenticated"
    assert reason(sparse(messages, asked, lambda place: place in (0, 3)), asked) is None


def test_signatures_of_others() -> None:
    asked = ask(key=KEY)
    messages = plain(asked)
    for key, detail in ((OTHER_KEY, "badkey"), (OTHER_SECRET, "badsig"), (OTHER_ALGORITHM, "badkey")):
        with pytest.raises(BadTransfer) as caught:
            run(signed(messages, asked, key=key), asked)
        assert caught.value.failure[:2] == ("unauthenticated", detail)


@pytest.mark.parametrize(("ahead", "taken"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_another_clock(ahead: int, taken: bool) -> None:
    asked = ask(key=KEY)
    found = reason(signed(plain(asked), asked, now=NOW + ahead), asked)
    assert found == (None if taken else "unauthenticated")


def test_an_answer_to_another_request() -> None:
    """A replay: the MAC of the request goes into that of the answer (5.3)."""
    asked, other = ask(key=KEY), ask(serial=3, key=KEY)
    made = signed(plain(asked), asked._replace(mac=other.mac))
    assert reason(made, asked) == "unauthenticated"


def test_messages_in_another_order_left_out_repeated_or_of_another_stream() -> None:
    asked = ask(key=KEY)
    made = signed(plain(asked, 5), asked)
    assert len(made) == 5
    later = signed(plain(asked, 5), asked, now=NOW + 1)
    for forged in (
        [made[0], made[2], made[1], *made[3:]],
        [made[0], *made[2:]],
        [made[0], made[1], *made[1:]],
        [*made[:3], *later[3:]],
        [*made[:-1], signed([plain(asked, 5)[-1]], asked)[0]],
    ):
        assert reason(forged, asked) == "unauthenticated"


def test_signatures_taken_away() -> None:
    """Every way to strip signatures off the messages of a whole signed stream but those that RFC 8945 allows: none."""
    asked = ask(key=KEY)
    bare = plain(asked)
    made = signed(bare, asked)
    for stripped in range(1, 1 << len(made)):
        messages = [bare[at] if stripped >> at & 1 else made[at] for at in range(len(made))]
        assert reason(messages, asked) == "unauthenticated"


def test_a_forged_message_in_between() -> None:
    asked = ask(key=KEY)
    made = signed(plain(asked), asked)
    forged = answer([address("forged", 1)]).bytes(asked)
    for at in range(len(made) + 1):
        assert reason([*made[:at], forged, *made[at:]], asked) is not None
    assert reason([*made[:2], forged, *made[2:]], asked) == "unauthenticated"


def test_every_octet_counts() -> None:
    """Each octet of each message of a signed stream, in each of its bits' classes: changed, it is not taken."""
    asked = ask(key=KEY)
    made = signed(plain(asked, 2), asked)
    tried = 0
    for number, message in enumerate(made):
        for at in range(len(message)):
            for bit in (0x01, 0x20, 0x80):
                octets = bytearray(message)
                octets[at] ^= bit
                messages = [*made[:number], bytes(octets), *made[number + 1 :]]
                found = reason(messages, asked)
                # The names of key and algorithm are without case (4.3.3).
                if found is None:
                    assert _same_but_for_tsig_names(message, bytes(octets), bit), (number, at, bit)
                tried += 1
    assert tried > 2400


def _same_but_for_tsig_names(message: bytes, other: bytes, bit: int) -> bool:
    at = tsig.find(message)
    assert at is not None
    record, changed = tsig.parse(message, at), tsig.parse(other, at)
    return bit == 0x20 and record == changed and message[:at] == other[:at]


def test_what_is_tampered_with_beyond_reading_is_told_as_such() -> None:
    asked = ask(key=KEY)
    (message,) = signed([answer(WHOLE).bytes(asked)], asked)
    broken = message.replace(struct.pack(">HHI", 1, 1, 300), struct.pack(">HHI", 1, 3, 300), 1)
    assert broken != message
    with pytest.raises(BadTransfer) as caught:
        run([broken], asked)
    assert caught.value.failure[:2] == ("unauthenticated", "badsig")


# What a primary says instead.


def error(asked: Asked, rcode: int) -> bytes:
    return Message(b"", 0, flags=RESPONSE | rcode).bytes(asked)


def test_an_unsigned_refusal_is_told() -> None:
    """It cannot be believed, and nothing follows from it but that nothing was transferred."""
    asked = ask(key=KEY)
    assert reason([error(asked, 5)], asked) == "refused"
    assert reason([error(asked, 2)], asked) == "error"
    assert reason([error(asked, 5)], ask(7, KEY)._replace(question=asked.question), tcp=False) == "unauthenticated"
    assert reason([answer(WHOLE, flags=RESPONSE | 5).bytes(asked)], asked) == "refused"


def test_an_unsigned_notauth_is_about_the_signature() -> None:
    """It is all that PowerDNS says of a wrong key or clock."""
    asked = ask(key=KEY)
    with pytest.raises(BadTransfer) as caught:
        run([error(asked, 9)], asked)
    assert caught.value.failure == ("unauthenticated", "unsigned", 9)
    assert reason(signed([error(asked, 9)], asked), asked) == "not-authoritative"


def test_a_signed_refusal_is_told() -> None:
    asked = ask(key=KEY)
    assert reason(signed([error(asked, 5)], asked), asked) == "refused"


@pytest.mark.parametrize(("status", "word"), [(tsig.BADSIG, "peer-badsig"), (tsig.BADKEY, "peer-badkey")])
def test_the_peer_does_not_accept_the_signature(status: int, word: str) -> None:
    asked = ask(key=KEY)
    record = tsig._unsigned(b"\0\0", KEY, NOW, status)
    with pytest.raises(BadTransfer) as caught:
        run([tsig._append(error(asked, 9), record)], asked)
    assert caught.value.failure[:2] == ("unauthenticated", word)


def test_the_peers_clock_is_wrong() -> None:
    asked = ask(key=KEY)
    message = error(asked, 9)
    record = tsig._unsigned(message, KEY, NOW, tsig.BADTIME, int(NOW + 9999).to_bytes(6, "big"))
    mac = KEY.mac(len(asked.mac).to_bytes(2, "big"), asked.mac, message, tsig._variables(record))
    with pytest.raises(BadTransfer) as caught:
        run([tsig._append(message, record._replace(mac=mac))], asked)
    assert caught.value.failure[:2] == ("unauthenticated", "peer-badtime")


def test_nothing_unsigned_is_current() -> None:
    """A forged 'nothing newer' would keep a zone from its changes, and from expiring."""
    assert reason([answer([NEW]).bytes(ask(9, KEY))], ask(9, KEY)) == "unauthenticated"
    assert reason([answer([soa(7)]).bytes(ask(9, KEY))], ask(9, KEY)) == "unauthenticated"
