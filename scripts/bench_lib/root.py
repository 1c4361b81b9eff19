"""The signed root zone, and what resolvers ask of it: referrals above all, then names that are not there.

Names below a top-level domain are made up, no two alike: a packet cache helps nobody. Which domain is asked for
follows Zipf's law, over the domains in random order.
"""

from __future__ import annotations

import base64
import gzip
import os
import random
from collections import defaultdict
from itertools import accumulate
from pathlib import Path

from . import zones
from .load import Query

FOLDER = Path(os.environ.get("DNSSERVER_ROOT_ZONE", Path(__file__).parents[3] / "shared/data/root-zone"))
NS, SOA, TXT, DS, DNSKEY = 2, 6, 16, 43, 48
# Of a hundred queries: a name below a delegation; DS; a name that is not there; a type that is not; the apex's own.
_SHARES = {"referral": 55, "ds": 10, "missing": 25, "empty": 5, "apex": 5}

Records = dict[str, dict[str, list[str]]]


def unpack(to: Path) -> str | None:
    """Write the newest signed version there; why not, when there is none."""
    for path in sorted(FOLDER.glob("*.zone.gz"), reverse=True):
        text = gzip.decompress(path.read_bytes()).decode()
        if "\tRRSIG\tSOA " in text:
            to.write_text(text)
            return None
    return f"no signed root zone in {FOLDER} (DNSSERVER_ROOT_ZONE names the folder)"


def _records(path: Path) -> Records:
    """Rdata in presentation form by owner, in lower case, and type; of a file with one record a line."""
    found: Records = defaultdict(lambda: defaultdict(list))
    for line in path.read_text().splitlines():
        owner, _, _, type_, rdata = line.split(None, 4)
        found[owner.lower()][type_].append(rdata)
    return found


def _digest(rdata: str) -> bytes:
    """Of a DS record (RFC 4034, 5.3)."""
    return bytes.fromhex("".join(rdata.split()[3:]))


def _soa_times(rdata: str) -> bytes:
    return b"".join(int(word).to_bytes(4, "big") for word in rdata.split()[2:7])


class Questions:
    """Makes queries with DO for one root zone."""

    def __init__(self, path: Path, seed: int = 3) -> None:
        self._rng = random.Random(seed)
        records = _records(path)
        self._tlds = [name for name in records if name != "." and "NS" in records[name] and name.count(".") == 1]
        self._rng.shuffle(self._tlds)
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._tlds) + 1)))
        self._digests = {name: _digest(rdata["DS"][0]) for name, rdata in records.items() if "DS" in rdata}
        self._soa = _soa_times(records["."]["SOA"][0])
        self._key = base64.b64decode("".join(records["."]["DNSKEY"][0].split()[3:]))
        self._there = {name.split(".")[-2] for name in records if name != "."}

    def make(self, count: int) -> list[Query]:
        """So many, in random order of kinds."""
        kinds = self._rng.choices(list(_SHARES), list(_SHARES.values()), k=count)
        tlds = self._rng.choices(self._tlds, cum_weights=self._weights, k=count)
        return [
            getattr(self, f"_{kind}")(tld, number) for number, (kind, tld) in enumerate(zip(kinds, tlds, strict=True))
        ]

    def _referral(self, tld: str, number: int) -> Query:
        name = zones.wire_name(f"host-{number:06d}.{tld}")
        return _query(name, self._rng.choice((1, 28)), self._digests.get(tld, b""), authoritative=False)

    def _ds(self, tld: str, _: int) -> Query:
        return _query(zones.wire_name(tld), DS, self._digests.get(tld, self._soa))

    def _missing(self, _: str, number: int) -> Query:
        label = f"{self._rng.choice(('local', 'home', 'lan', 'corp', 'belkin', 'x'))}-{number:06d}"
        assert label not in self._there
        return _query(zones.wire_name(f"{label}."), 1, self._soa, rcode=3)

    def _empty(self, _: str, __: int) -> Query:
        return _query(b"\0", TXT, self._soa)

    def _apex(self, _: str, __: int) -> Query:
        type_ = self._rng.choice((NS, SOA, DNSKEY))
        return _query(b"\0", type_, {SOA: self._soa, DNSKEY: self._key}.get(type_, b""))


def _query(name: bytes, type_: int, holds: bytes, *, rcode: int = 0, authoritative: bool = True) -> Query:
    """With an OPT record: DO set, 1232 octets (RFC 6891, 6.1.2; RFC 3225)."""
    body = b"\0\0\0\1\0\0\0\0\0\1" + name + type_.to_bytes(2, "big") + b"\0\1" + b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"
    return Query(body, holds, rcode, authoritative)
