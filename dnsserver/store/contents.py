"""The records of zones: whole contents written in batches, read in canonical order, and changed by changesets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.errors import Conflict, InvalidData
from dnsserver.store.schema import contents, records, zones
from dnsserver.store.statements import Statement
from dnsserver.store.writing import HEAD, Writer, insert_columns, insert_rows
from dnsserver.zone import names
from dnsserver.zone.changeset import Changeset, identity
from dnsserver.zone.records import Record, with_serial
from dnsserver.zone.rrtypes import SOA
from dnsserver.zone.whole import Whole

if TYPE_CHECKING:
    from dnsserver.store.database import Database
    from dnsserver.store.zones import ZoneRow

# A row of ``records`` as it is read: key, type, owner (None: the key's name), TTL, rdata.
Row = tuple[bytes, int, bytes | None, int, bytes]

# Rows of one transaction of a bulk write: other writers wait some 20 ms for it.
BATCH = 5000
# Names looked up by one statement.
LOOKUP = 512
# Names in contents of their own each, likewise.
_PLACES = 50
# Contents that nobody has pointed at for so long were left by a program that died.
ABANDONED = 86400.0

# What taking contents away costs beside their rows, in rows.
_EACH = 50


def wire_size(record: Record) -> int:
    """Octets of the record, uncompressed."""
    return len(record.owner) + HEAD + len(record.rdata)


def new_contents(conn: Connection, now: float) -> int:
    """An id for contents to be written."""
    values = {"state": "writing", "created": now, "record_count": 0, "wire_size": 0, "serial": 0}
    key = conn.execute(sa.insert(contents), values).inserted_primary_key
    assert key is not None
    return int(key[0])


def insert_all(conn: Connection, contents_id: int, new: Iterable[Record]) -> None:
    """Writes records as contents, in the transaction given; they hold each record once."""
    writer = Writer(contents_id)
    for batch in _batches(new):
        insert_columns(conn, writer.columns(batch))
    _finish(conn, writer)


def write_contents(db: Database, new: Whole | Iterable[Record], now: float) -> int:
    """Writes records as new contents in transactions of 5,000, and returns their id; no zone points at them yet.

    They outlast a power cut together with the transaction that points a zone at them. On an error what was written is
    taken away again; what a killed program leaves, ``prune_contents`` takes.
    """
    with db.write() as conn:
        contents_id = new_contents(conn, now)
    try:
        writer = Writer(contents_id)
        for batch, keys in _keyed_batches(new) if isinstance(new, Whole) else zip(_batches(new), repeat(None)):
            columns = writer.columns(batch, keys)
            with db.write(aside=True) as conn:
                insert_columns(conn, columns)
        with db.write() as conn:
            _finish(conn, writer)
    except BaseException:
        discard_contents(db, contents_id)
        raise
    return contents_id


def discard_contents(db: Database, contents_id: int) -> None:
    """Takes contents away that no zone points at, in batches."""
    with db.write() as conn:
        retire(conn, contents_id)
    _delete(db, [contents_id])


def retire(conn: Connection, contents_id: int) -> None:
    """Marks contents as no longer pointed at: ``prune_contents`` takes them."""
    conn.execute(sa.update(contents).where(contents.c.id == contents_id).values(state="retired"))


def prune_contents(db: Database, now: float) -> int:
    """Deletes the records of retired contents, and of those abandoned for a day; returns how many contents went."""
    abandoned = sa.and_(contents.c.state == "writing", contents.c.created < now - ABANDONED)
    used = sa.exists().where(zones.c.contents == contents.c.id)
    with db.write() as conn:
        # From here on nobody can claim them, however late (``claim_contents``).
        conn.execute(sa.update(contents).where(abandoned).values(state="retired"))
    with db.read() as conn:
        query = sa.select(contents.c.id).where(contents.c.state == "retired", ~used)
        found = list(conn.execute(query).scalars())
    _delete(db, found)
    return len(found)


def _delete(db: Database, found: Iterable[int]) -> None:
    """Takes contents away, some 5,000 rows a transaction: a part of large ones, many small ones together."""
    left = list(found)
    while left:
        with db.write() as conn:
            rows = 0
            while left and rows < BATCH:
                ended, deleted = _delete_part(conn, left[-1])
                rows += deleted + _EACH
                if ended:
                    left.pop()


def _delete_part(conn: Connection, contents_id: int) -> tuple[bool, int]:
    """Whether that was the end of these contents, and how many rows it were. By a range of keys: a DELETE with LIMIT
    is not the same everywhere.
    """
    here = {"contents": contents_id}
    last = conn.execute(_BOUND, here).scalar()
    if last is not None:
        return False, conn.execute(_DELETE_UP_TO, {**here, "last": last}).rowcount
    deleted = conn.execute(_DELETE_ALL, here).rowcount
    conn.execute(_DELETE_CONTENTS, here)
    return True, deleted


def _batches(new: Iterable[Record]) -> Iterator[list[Record]]:
    records = iter(new)
    while batch := list(islice(records, BATCH)):
        yield batch


def _keyed_batches(new: Whole) -> Iterator[tuple[list[Record], list[bytes]]]:
    for at in range(0, len(new.records), BATCH):
        yield new.records[at : at + BATCH], new.keys[at : at + BATCH]


def finish_contents(conn: Connection, contents_id: int, count: int, size: int, serial: int) -> None:
    """Notes what contents hold, once they are written whole: records, their octets, and the SOA's serial."""
    values = {"record_count": count, "wire_size": size, "serial": serial}
    conn.execute(sa.update(contents).where(contents.c.id == contents_id).values(values))


def _finish(conn: Connection, writer: Writer) -> None:
    finish_contents(conn, writer.contents, writer.count, writer.size, writer.serial)


def set_serial(conn: Connection, contents_id: int, apex: bytes, serial: int) -> None:
    """Gives contents that no zone points at yet another serial, in their SOA."""
    here = (records.c.contents == contents_id) & (records.c.key == names.key(apex)) & (records.c.type == SOA)
    row = conn.execute(sa.select(records.c.rdata).where(here)).one_or_none()
    if row is None:
        raise InvalidData(f"{names.to_text(apex)}: there is no SOA record")
    conn.execute(sa.update(records).where(here).values(rdata=with_serial(row.rdata, serial)))
    conn.execute(sa.update(contents).where(contents.c.id == contents_id).values(serial=serial))


def apply(conn: Connection, contents_id: int, changeset: Changeset) -> None:
    """Writes a changeset into contents.

    Raises Conflict when a record to remove is not there (by identity: owner without case, type, TTL and rdata), or one
    to add is.
    """
    touched: dict[tuple[bytes, int], tuple[list[Record], list[Record]]] = {}
    for side, changed in enumerate((changeset.removed, changeset.added)):
        for key, record in zip(names.keys([record.owner for record in changed]), changed, strict=True):
            touched.setdefault((key, record.type), ([], []))[side].append(record)
    # Where each record of these RRsets stands: its number.
    found: dict[tuple[bytes, int], dict[tuple[int, bytes], int]] = {place: {} for place in touched}
    for key, rtype, number, _, ttl, rdata in _at_keys(conn, contents_id, {key for key, _ in touched}):
        if (there := found.get((key, rtype))) is not None:
            there[ttl, rdata] = number
    writes = _Writes(contents_id)
    for place, (removed, added) in touched.items():
        writes.rrset(place, found[place], removed, added)
    _DELETE.change_many(conn, writes.gone)
    _REWRITE.change_many(conn, writes.rewritten)
    insert_rows(conn, writes.new)


class _Writes:
    """Rows that a changeset deletes, writes anew in their place, and inserts."""

    __slots__ = ("_contents", "gone", "new", "rewritten")

    def __init__(self, contents_id: int) -> None:
        self._contents = contents_id
        self.gone: list[dict[str, Any]] = []
        self.rewritten: list[dict[str, Any]] = []
        self.new: list[tuple[Any, ...]] = []

    def rrset(
        self,
        place: tuple[bytes, int],
        there: dict[tuple[int, bytes], int],
        removed: list[Record],
        added: list[Record],
    ) -> None:
        """Adds what one RRset needs; ``there``: the numbers of its records. Raises Conflict."""
        gone = set()
        for record in removed:
            number = there.pop((record.ttl, record.rdata), None)
            if number is None:
                raise Conflict(f"{names.to_text(record.owner)} TYPE{record.type}: a record to remove is not there")
            gone.add(number)
        # What comes stands behind what stays. A row that goes and one that comes are one row written anew.
        last = max(there.values(), default=0)
        free = sorted((number for number in gone if number > last), reverse=True)
        for record in added:
            if (record.ttl, record.rdata) in there:
                raise Conflict(f"{names.to_text(record.owner)} TYPE{record.type}: a record to add is there already")
            owner = None if record.owner == record.owner.lower() else record.owner
            if free:
                last = free.pop()
                gone.remove(last)
                here = self._row(place, last)
                self.rewritten.append({**here, "owner": owner, "ttl": record.ttl, "rdata": record.rdata})
            else:
                last += 1
                self.new.append((self._contents, *place, last, owner, record.ttl, record.rdata))
            there[record.ttl, record.rdata] = last
        self.gone += [self._row(place, number) for number in gone]

    def _row(self, place: tuple[bytes, int], number: int) -> dict[str, Any]:
        return {"c": self._contents, "k": place[0], "t": place[1], "n": number}


def row_pages(conn: Connection, contents_id: int, size: int = BATCH) -> Iterator[Sequence[Row]]:
    """The records of contents as they are stored, in canonical order of names, then by type; at most ``size`` each."""
    # Streamed, where the driver would else fetch everything at once.
    is_plain = conn.dialect.name == "sqlite"
    streamed = {} if is_plain else {"stream_results": True, "max_row_buffer": size}
    with conn.execute(_ALL, {"contents": contents_id}, execution_options=streamed) as result:
        # SQLite's driver is asked for its own tuples: to make rows of them takes as long as all else here.
        cursor: Any = result.cursor if is_plain else result
        while rows := cursor.fetchmany(size):
            yield rows


def several(conn: Connection, ids: Sequence[int]) -> Iterator[tuple[int, list[Row]]]:
    """The same of several small contents, each as a whole, by one query: (id, rows), in the order of ids."""
    with conn.execute(_SEVERAL, {"ids": ids}) as result:
        found: Any = result.cursor if conn.dialect.name == "sqlite" else result
        for contents_id, rows in groupby(found.fetchall(), itemgetter(0)):
            yield contents_id, [row[1:] for row in rows]


def record_pages(conn: Connection, zone: ZoneRow, size: int = BATCH) -> Iterator[list[Record]]:
    """The zone's records in canonical order of their owners, then by type, in lists of at most ``size``."""
    make, records_of = tuple.__new__, Record
    key_before, parent_key, parent, name = None, None, names.ROOT, names.ROOT
    for rows in row_pages(conn, zone.contents, size):
        page: list[Record] = []
        for key, rtype, owner, ttl, rdata in rows:
            if key != key_before:
                # As names.from_key does, but its parent's name, mostly that of the row before, is made once.
                key_before = key
                at = key.rfind(0, 0, -1) + 1
                if 1 in key or not key:
                    name = names.from_key(key)
                else:
                    if key[:at] != parent_key:
                        parent_key, parent = key[:at], names.from_key(key[:at])
                    name = _LENGTHS[len(key) - at - 1] + key[at:-1] + parent
            page.append(make(records_of, (owner or name, rtype, ttl, rdata)))
        yield page


def all_records(conn: Connection, zone: ZoneRow, owner: bytes | None = None) -> Iterator[Record]:
    """The zone's records in canonical order; with ``owner``, only those of that name."""
    if owner is None:
        for page in record_pages(conn, zone):
            yield from page
        return
    lower = owner.lower()
    # All at once: who stops at the first would leave SQLite reading, and a later write of the connection would fail.
    for rtype, written, ttl, rdata in _ONE_NAME.rows(conn, {"contents": zone.contents, "key": names.key(lower)}):
        yield Record(written or lower, rtype, ttl, rdata)


def merged(conn: Connection, zone: ZoneRow, changeset: Changeset) -> Iterator[Record]:
    """The zone's records as a changeset that fits them will leave them, in canonical order of their owners."""
    gone = set(map(identity, changeset.removed))
    names_gone = {owner for owner, *_ in gone}
    # The next one to come stands last.
    waiting = sorted(((names.key(record.owner), record) for record in changeset.added), reverse=True)
    before = None
    for record in all_records(conn, zone):
        if waiting and record.owner != before:
            before = record.owner
            key = names.key(before)
            while waiting and waiting[-1][0] < key:
                yield waiting.pop()[1]
        if record.owner.lower() not in names_gone or identity(record) not in gone:
            yield record
    while waiting:
        yield waiting.pop()[1]


def nodes(conn: Connection, contents_id: int, owners: Iterable[bytes]) -> dict[bytes, list[Record]]:
    """All records of these names, by lower-cased name; a name that is not there has an empty list."""
    found: dict[bytes, list[Record]] = {owner.lower(): [] for owner in owners}
    by_key = dict(zip(names.keys(found), found, strict=True))
    for key, rtype, _, written, ttl, rdata in _at_keys(conn, contents_id, by_key):
        name = by_key[key]
        found[name].append(Record(written or name, rtype, ttl, rdata))
    return found


def _at_keys(conn: Connection, contents_id: int, wanted: Iterable[bytes]) -> Iterator[Sequence[Any]]:
    """All rows of these names: key, type, number, owner, TTL, rdata."""
    # In order: what stands near each other is read together.
    keys = sorted(wanted)
    for at in range(0, len(keys), LOOKUP):
        yield from _AT_KEYS.rows(conn, {"contents": contents_id, "keys": keys[at : at + LOOKUP]})


def at_names(
    conn: Connection, places: Iterable[tuple[int, bytes]], types: tuple[int, ...]
) -> dict[tuple[int, bytes], list[Record]]:
    """The records of these types at names of many contents. A place is an id of contents and a lower-cased name; one
    where there are none has an empty list.
    """
    found: dict[tuple[int, bytes], list[Record]] = {place: [] for place in places}
    by_key = {(contents_id, names.key(name)): (contents_id, name) for contents_id, name in found}
    keys = list(by_key)
    for at in range(0, len(keys), _PLACES):
        some = keys[at : at + _PLACES]
        query = {
            f"{side}{number}": value
            for number, place in enumerate(some)
            for side, value in zip("ck", place, strict=True)
        }
        for contents_id, key, rtype, written, ttl, rdata in _at(len(some), types).rows(conn, query):
            place = by_key[contents_id, key]
            found[place].append(Record(written or place[1], rtype, ttl, rdata))
    return found


@lru_cache(maxsize=4 * _PLACES)
def _at(count: int, types: tuple[int, ...]) -> Statement:
    """For so many places. With IN and pairs of values SQLite would look through the whole table."""
    places = (
        (records.c.contents == sa.bindparam(f"c{number}")) & (records.c.key == sa.bindparam(f"k{number}"))
        for number in range(count)
    )
    return Statement(
        sa.select(records.c.contents, *_ALL.selected_columns)
        .where(sa.or_(*places), sa.or_(*(records.c.type == rtype for rtype in types)))
        .order_by(records.c.contents, records.c.key, records.c.type, records.c.number)
    )


def exists_below(conn: Connection, zone: ZoneRow, name: bytes) -> bool:
    """Whether any record's owner is below ``name``."""
    key = names.key(name)
    below = sa.select(sa.literal(1)).where(records.c.contents == zone.contents, records.c.key > key)
    if key:
        # A name's key ends in 00 and is a prefix of all those below it, so they end before the same with 01.
        below = below.where(records.c.key < key[:-1] + b"\x01")
    return conn.execute(below.limit(1)).scalar() is not None


_HERE = records.c.contents == sa.bindparam("contents")
_BOUND = sa.select(records.c.key).where(_HERE).order_by(records.c.key).offset(BATCH).limit(1)
_DELETE_UP_TO = sa.delete(records).where(_HERE, records.c.key <= sa.bindparam("last"))
_DELETE_ALL = sa.delete(records).where(_HERE)
_DELETE_CONTENTS = sa.delete(contents).where(contents.c.id == sa.bindparam("contents"))
_ROW = (
    records.c.contents == sa.bindparam("c"),
    records.c.key == sa.bindparam("k"),
    records.c.type == sa.bindparam("t"),
    records.c.number == sa.bindparam("n"),
)
_DELETE = Statement(sa.delete(records).where(*_ROW))
_REWRITE = Statement(
    sa.update(records).where(*_ROW).values({name: sa.bindparam(name) for name in ("owner", "ttl", "rdata")})
)
_AT_KEYS = Statement(
    sa.select(records.c.key, records.c.type, records.c.number, records.c.owner, records.c.ttl, records.c.rdata).where(
        _HERE, records.c.key.in_(sa.bindparam("keys", expanding=True))
    ),
    listed="keys",
)
_LENGTHS = [bytes((length,)) for length in range(names.MAX_LABEL + 1)]


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The column as the driver gives it: all give bytes, which SQLAlchemy would copy into bytes."""
    return sa.type_coerce(column, sa.types.NullType())


_ALL: sa.Select[Any] = (
    sa.select(_plain(records.c.key), records.c.type, _plain(records.c.owner), records.c.ttl, _plain(records.c.rdata))
    .where(records.c.contents == sa.bindparam("contents"))
    .order_by(records.c.contents, records.c.key, records.c.type, records.c.number)
)
_SEVERAL: sa.Select[Any] = (
    sa.select(records.c.contents, *_ALL.selected_columns)
    .where(records.c.contents.in_(sa.bindparam("ids", expanding=True)))
    .order_by(records.c.contents, records.c.key, records.c.type, records.c.number)
)
_ONE_NAME = Statement(
    sa.select(records.c.type, records.c.owner, records.c.ttl, records.c.rdata)
    .where(records.c.contents == sa.bindparam("contents"), records.c.key == sa.bindparam("key"))
    .order_by(records.c.type, records.c.number)
)
