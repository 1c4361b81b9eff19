"""DNS cookies: RFC 7873, and the vectors of RFC 9018, appendix A."""

from __future__ import annotations

import pytest

from dnsserver.protocol.cookies import JAR_ENTRIES, CookieJar, CookieSecrets, is_malformed, siphash

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT = bytes.fromhex("2464c4abcf10c957")
ADDRESS = "198.51.100.100"
MADE = 1559731985


def jar(current: bytes = SECRET, previous: bytes | None = None) -> CookieJar:
    return CookieJar(CookieSecrets(current, previous))


def test_siphash_is_that_of_its_authors() -> None:
    """Aumasson and Bernstein, appendix A; the first and last vectors of their reference."""
    key = bytes(range(16))
    assert siphash(key, bytes(range(15))) == bytes.fromhex("e545be4961ca29a1")
    assert siphash(key, b"") == bytes.fromhex("310e0edd47db6f72")
    assert siphash(key, bytes(range(63))) == bytes.fromhex("724506eb4c328a95")


def test_a_new_cookie_is_that_of_rfc_9018() -> None:
    """A.1: learning a new server cookie."""
    judged = jar().judge(CLIENT, ADDRESS, MADE)
    assert judged.reply == bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
    assert (judged.is_valid, judged.is_first) == (False, True)


def test_a_renewed_cookie_is_that_of_rfc_9018() -> None:
    """A.2: the same client's cookie, 40 minutes later; older than half an hour, so a new one is made (4.3)."""
    sent = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
    judged = jar().judge(sent, ADDRESS, 1559734385)
    assert judged.reply == bytes.fromhex("2464c4abcf10c957010000005cf7a871d4a564a1442aca77")
    assert judged.is_valid


def test_an_ipv6_cookie_is_that_of_rfc_9018() -> None:
    """A.4: the previous secret verifies, the current one renews."""
    old, new = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715"), bytes.fromhex("445536bcd2513298075a5d379663c962")
    sent = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
    judged = jar(new, old).judge(sent, "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961)
    assert judged.is_valid
    assert judged.reply == bytes.fromhex("22681ab97d52c298010000005cf7c609a6bb79d16625507a")


@pytest.mark.parametrize(
    ("later", "is_valid", "is_same"),
    [(0, True, True), (1800, True, True), (1801, True, False), (3600, True, False), (3601, False, False)],
)
def test_a_cookie_ages(later: int, is_valid: bool, is_same: bool) -> None:
    """RFC 9018, 4.3: an hour, renewed after half of it; asked with a jar that knows it and with one that does not."""
    warm = jar()
    sent = warm.judge(CLIENT, ADDRESS, MADE).reply
    warm.judge(sent, ADDRESS, MADE)
    for other in (warm, jar()):
        judged = other.judge(sent, ADDRESS, MADE + later)
        assert (judged.is_valid, judged.reply == sent) == (is_valid, is_same)


def test_a_cookie_from_the_future_has_five_minutes() -> None:
    """RFC 9018, 4.3."""
    sent = jar().judge(CLIENT, ADDRESS, MADE).reply
    assert jar().judge(sent, ADDRESS, MADE - 300).is_valid
    assert not jar().judge(sent, ADDRESS, MADE - 301).is_valid


@pytest.mark.parametrize("change", ["address", "client", "hash", "version", "secret", "length"])
def test_a_forged_cookie_is_not_valid_and_gets_a_good_one(change: str) -> None:
    sent = jar().judge(CLIENT, ADDRESS, MADE).reply
    asked, address, other = sent, ADDRESS, jar()
    match change:
        case "address":
            address = "198.51.100.101"
        case "client":
            asked = b"x" * 8 + sent[8:]
        case "hash":
            asked = sent[:-1] + bytes((sent[-1] ^ 1,))
        case "version":
            asked = sent[:8] + b"\x02" + sent[9:]
        case "secret":
            other = jar(bytes(16))
        case "length":
            asked = sent + b"x"
    judged = other.judge(asked, address, MADE)
    assert not judged.is_valid
    assert len(judged.reply) == 24
    assert other.judge(judged.reply, address, MADE).is_valid


def test_lengths() -> None:
    """RFC 7873, 5.2.2."""
    assert [size for size in range(50) if not is_malformed(bytes(size))] == [8, *range(16, 41)]


def test_the_jar_is_bounded() -> None:
    full = jar()
    good = full.judge(CLIENT, ADDRESS, MADE).reply
    full._known = dict.fromkeys(((str(number), b"") for number in range(JAR_ENTRIES)), next(iter(full._known.values())))
    assert full.judge(good, ADDRESS, MADE).is_valid
    assert len(full._known) == 1
    full.judge(good[:-1] + b"\x00", ADDRESS, MADE)
    assert len(full._known) == 1, "forged ones take no place"


def test_secrets_do_not_show() -> None:
    assert "e5" not in repr(CookieSecrets(SECRET, SECRET))
