"""The digest of a zone: the examples of RFC 8976, appendix A, and dnspython's digests of other zones."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable

import dns.rdataclass
import dns.zone
import pytest
from dns.zonetypes import DigestHashAlgorithm

from dnsserver.zone import names, rdata, zonemd
from dnsserver.zone.records import Record
from dnsserver.zone.zonemd import Result, Status, verify

EXAMPLE = names.from_text("example.")
SOA = "@ 86400 SOA ns1 admin 2018031900 1800 900 604800 86400"
A1 = f"""{SOA}
@ 86400 NS ns1
@ 86400 NS ns2
@ 86400 ZONEMD 2018031900 1 1 c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c
ns1 3600 A 203.0.113.63
ns2 3600 AAAA 2001:db8::63
"""  # noqa: E501
A2 = f"""{SOA}
@ 86400 NS ns1
@ 86400 NS ns2
@ 86400 ZONEMD 2018031900 1 1 a3b69bad980a3504e1cffcb0fd6397f93848071c93151f552ae2f6b1711d4bd2d8b39808226d7b9db71e34b72077f8fe
ns1 3600 A 203.0.113.63
NS2 3600 AAAA 2001:db8::63
occluded.sub 7200 TXT "I'm occluded but must be digested"
sub 7200 NS ns1
duplicate 300 TXT "I must be digested just once"
duplicate 300 TXT "I must be digested just once"
foo.test. 555 TXT "out-of-zone data must be excluded"
UPPERCASE 3600 TXT "canonicalize uppercase owner names"
* 777 PTR dont-forget-about-wildcards
mail 3600 MX 20 MAIL1
mail 3600 MX 10 Mail2.Example.
sortme 3600 AAAA 2001:db8::5:61
sortme 3600 AAAA 2001:db8::3:62
sortme 3600 AAAA 2001:db8::4:63
sortme 3600 AAAA 2001:db8::1:65
sortme 3600 AAAA 2001:db8::2:64
non-apex 900 ZONEMD 2018031900 1 1 616c6c6f776564206275742069676e6f7265642e20616c6c6f776564206275742069676e6f7265642e20616c6c6f7765
"""  # noqa: E501
A3 = f"""{SOA}
@ 86400 NS ns1
@ 86400 NS ns2
@ 86400 ZONEMD 2018031900 1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee306
@ 86400 ZONEMD 2018031900 1 2 08cfa1115c7b948c4163a901270395ea226a930cd2cbcf2fa9a5e6eb85f37c8a4e114d884e66f176eab121cb02db7d652e0cc4827e7a3204f166b47e5613fd27
@ 86400 ZONEMD 2018031900 1 240 e2d523f654b9422a96c5a8f44607bbee
@ 86400 ZONEMD 2018031900 241 1 e1846540e33a9e4189792d18d5d131f605fc283e
ns1 3600 A 203.0.113.63
ns2 86400 TXT "This example has multiple digests"
NS2 3600 AAAA 2001:db8::63
"""  # noqa: E501


def read(text: str, apex: bytes = EXAMPLE) -> list[Record]:
    """The records of simple lines (owner, TTL, type, rdata), in canonical order of names."""
    found = []
    for line in text.splitlines():
        owner, ttl, kind, words = line.split(" ", 3)
        rtype = rdata.type_from_text(kind)
        found.append(Record(names.from_text(owner, apex), rtype, int(ttl), rdata.from_text(rtype, words, apex)))
    return sorted(found, key=lambda record: names.key(record.owner))


def digests_of(records: Iterable[Record], apex: bytes = EXAMPLE) -> list[bytes]:
    return [r.rdata for r in records if r.type == rdata.type_from_text("ZONEMD") and r.owner.lower() == apex]


def check(records: list[Record], apex: bytes = EXAMPLE) -> Result:
    return verify(apex, records, digests_of(records, apex))


@pytest.mark.parametrize("text", [A1, A2, A3], ids=["simple", "complex", "multiple"])
def test_the_examples_of_the_rfc(text: str) -> None:
    records = read(text)
    assert check(records) == Result(Status.OK)
    for number in digests_of(records):
        if number[4] == 1 and number[5] in zonemd.HASHES:
            assert verify(EXAMPLE, records, [number]).status is Status.OK


@pytest.mark.parametrize("text", [A1, A2, A3], ids=["simple", "complex", "multiple"])
def test_any_other_record_is_another_zone(text: str) -> None:
    """But for what is not digested: out of the zone, and a duplicate."""
    records = read(text)
    spared = {names.from_text("foo.test."), names.from_text("duplicate.example.")}
    for at, record in enumerate(records):
        if record.owner in spared or (record.type == 63 and record.owner == EXAMPLE):
            continue
        without = [*records[:at], *records[at + 1 :]]
        changed = [*records[:at], record._replace(ttl=record.ttl + 1), *records[at + 1 :]]
        assert verify(EXAMPLE, without, digests_of(records)).status is Status.MISMATCH
        assert verify(EXAMPLE, changed, digests_of(records)).status is Status.MISMATCH


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_a_names_records_does_not_matter(seed: int) -> None:
    records = read(A2)
    random.Random(seed).shuffle(records)
    assert check(sorted(records, key=lambda record: names.key(record.owner))).status is Status.OK


def zonemd_rdata(serial: int, scheme: int, number: int, digest: bytes) -> bytes:
    return struct.pack(">IBB", serial, scheme, number) + digest


SERIAL = 2018031900
RIGHT = digests_of(read(A1))[0]


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([], Status.MISSING),
        ([RIGHT], Status.OK),
        ([zonemd_rdata(SERIAL, 1, 3, bytes(48)), RIGHT], Status.OK),
        ([zonemd_rdata(SERIAL, 1, 2, bytes(64)), RIGHT], Status.OK),
        ([zonemd_rdata(SERIAL, 1, 3, bytes(48))], Status.UNSUPPORTED),
        ([zonemd_rdata(SERIAL, 2, 1, bytes(48))], Status.UNSUPPORTED),
        ([zonemd_rdata(SERIAL, 0, 0, bytes(48))], Status.UNSUPPORTED),
        ([zonemd_rdata(SERIAL, 1, 1, bytes(48))], Status.MISMATCH),
        ([zonemd_rdata(SERIAL - 1, 1, 1, RIGHT[6:])], Status.MISMATCH),
        ([RIGHT[:-1]], Status.MISMATCH),
        ([RIGHT + b"\0"], Status.MISMATCH),
        ([RIGHT, zonemd_rdata(SERIAL, 1, 1, bytes(48))], Status.MISMATCH),
        ([RIGHT[:18]], Status.MISMATCH),
    ],
)
def test_statuses(found: list[bytes], status: Status) -> None:
    result = verify(EXAMPLE, read(A1), found)
    assert result.status is status
    assert bool(result.detail) is (status is not Status.OK)


@pytest.mark.parametrize("found", [[], [zonemd_rdata(SERIAL, 240, 1, bytes(48))]])
def test_a_zone_without_a_usable_digest_is_not_read(found: list[bytes]) -> None:
    records = iter(read(A1))
    verify(EXAMPLE, records, found)
    assert next(records).owner == EXAMPLE


SIGNED = f"""{SOA}
@ 86400 NS NS1.Example.
@ 86400 DNSKEY 257 3 8 AwEAAdkTaWk=
@ 86400 RRSIG SOA 8 1 86400 20300101000000 20200101000000 7 EXAMPLE. AAAA
@ 86400 RRSIG ZONEMD 8 1 86400 20300101000000 20200101000000 7 example. BBBB
@ 86400 NSEC A.example. NS SOA RRSIG NSEC DNSKEY ZONEMD
a 300 TXT "x"
A 300 RRSIG TXT 8 2 300 20300101000000 20200101000000 7 example. CCCC
a 300 RRSIG AAAA 8 2 300 20300101000000 20200101000000 7 example. AAAA
a 300 AAAA 2001:db8::1
\\000.a 300 A 192.0.2.1
*.a 300 NAPTR 1 2 "U" "E2U+SIP" "!x!y!" Host.Example.
b 300 SRV 1 2 3 Target.example.
b 300 HINFO PC Unix
b 300 RP Mail.example. Text.example.
Z 300 DNAME Other.example.
z.z 300 SVCB 1 Foo.example. alpn=h2
zz 300 KX 10 Kx.example.
zz 300 TYPE65280 \\# 3 41420a
"""


@pytest.mark.parametrize("number", [1, 2])
def test_a_signed_zone_of_many_types_as_dnspython_digests_it(number: int) -> None:
    records = read(SIGNED)
    text = "".join(
        f"{names.to_text(r.owner)} {r.ttl} IN {rdata.type_to_text(r.type)} {rdata.to_text(r.type, r.rdata)}\n"
        for r in records
    )
    zone = dns.zone.from_text(text, "example.", relativize=False)
    wanted = zone.compute_digest(DigestHashAlgorithm(number)).digest
    serial, found = zonemd.digests(EXAMPLE, records, [number])
    assert (serial, found) == (SERIAL, {number: wanted})
