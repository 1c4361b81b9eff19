"""Access lists, keys, settings, outbox and history as they are stored."""

from __future__ import annotations

import pytest

from dnsserver.errors import Conflict, NotFound, StoreFailed
from dnsserver.store import access, feed, history, keys, outbox, schema, settings, zones
from dnsserver.store.database import Database
from dnsserver.store.outbox import PeerState
from dnsserver.store.secretbox import SecretBox
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, Layer
from tests.support.stores import WHO, make_zone

KEY = names.from_text("transfer.key.")
SHA256 = names.from_text("hmac-sha256.")
NET = AccessEntry.parse("192.0.2.0/24", None)
BOTH = AccessEntry.parse("2001:db8::/32", "transfer.key.")


def test_the_three_lists_are_apart(db: Database) -> None:
    """R1 to R4."""
    zone = make_zone(db)
    with db.write() as conn:
        assert access.allow(conn, Layer.GLOBAL, None, NET, WHO)
        assert access.allow(conn, Layer.SUPER_SLAVE, None, BOTH, WHO)
        assert access.allow(conn, Layer.ZONE, zone, NET, WHO)
        assert access.allow(conn, Layer.ZONE, zone, BOTH, WHO)
    with db.read() as conn:
        lists = access.lists(conn)
        assert (lists.global_, lists.super_slaves) == ((NET,), (BOTH,))
        assert access.zone_entries(conn, zone.id) == (NET, BOTH)
        assert access.all_zone_entries(conn) == {zone.id: (NET, BOTH)}
        assert [(found.layer, found.zone_id) for found in access.entries(conn)] == [
            (Layer.GLOBAL, None), (Layer.SUPER_SLAVE, None), (Layer.ZONE, zone.id), (Layer.ZONE, zone.id),
        ]  # fmt: skip


def test_an_entry_twice_changes_nothing(db: Database) -> None:
    with db.write() as conn:
        assert access.allow(conn, Layer.GLOBAL, None, NET, WHO)
    with db.write() as conn:
        assert not access.allow(conn, Layer.GLOBAL, None, NET, WHO)
        assert not access.revoke(conn, Layer.GLOBAL, None, BOTH, WHO)
        assert access.revoke(conn, Layer.GLOBAL, None, NET, WHO)
    with db.read() as conn:
        assert feed.head(conn).seq == 2
        assert access.entries(conn) == []
        lines = [(line.subject, line.action, line.detail) for line in history.entries(conn)]
    assert lines == [("global", "access-revoke", "192.0.2.0/24"), ("global", "access-allow", "192.0.2.0/24")]


def test_a_purged_zone_takes_its_list_along(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        access.allow(conn, Layer.ZONE, zone, NET, WHO)
        zones.delete(conn, zone, WHO)
        zones.purge_deleted(conn, WHO.now + 1)
        assert access.entries(conn) == []


def test_a_key_is_stored_sealed_and_shown_by_nobody(db: Database) -> None:
    with db.write() as conn:
        stored = keys.put(conn, KEY.upper(), SHA256, b"the secret", WHO)
    with db.read() as conn:
        assert keys.get(conn, KEY) == stored
        assert (stored.name, stored.algorithm, stored.secret) == (KEY, SHA256, b"the secret")
        assert "secret" not in repr(stored).replace("secret=", "")
        row = conn.execute(schema.keys.select()).one().secret
        assert b"the secret" not in bytes(row)
        assert feed.head(conn).seq == 1
        assert "the secret" not in repr(history.entries(conn))


def test_a_key_is_replaced_and_deleted(db: Database) -> None:
    with db.write() as conn:
        keys.put(conn, KEY, SHA256, b"one", WHO)
        keys.put(conn, KEY, SHA256, b"two", WHO, weak_allowed=True)
        assert [(key.secret, key.weak_allowed) for key in keys.all_keys(conn)] == [(b"two", True)]
        keys.delete(conn, KEY, WHO)
        assert [line.action for line in history.entries(conn)] == ["key-delete", "key-replace", "key-add"]
        with pytest.raises(NotFound, match=r"transfer\.key\."):
            keys.delete(conn, KEY, WHO)


def test_a_key_in_use_stays(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        keys.put(conn, KEY, SHA256, b"one", WHO)
        access.allow(conn, Layer.ZONE, zone, BOTH, WHO)
        changed = zone.settings.with_change(["also-notify=192.0.2.1,key=transfer.key."])
        zone = zones.set_settings(conn, zone, changed, WHO)
        assert keys.uses(conn, KEY) == [
            "the list of zone example.com. (2001:db8::/32 key=transfer.key.)", "the settings of zone example.com.",
        ]  # fmt: skip
        with pytest.raises(Conflict, match=r"list of zone example\.com\."):
            keys.delete(conn, KEY, WHO)


@pytest.mark.parametrize("box", [None, SecretBox(b"x" * 32)])
def test_without_their_secret_file_keys_are_unreadable_and_no_error(
    db: Database, url: str, box: SecretBox | None
) -> None:
    """CONTRACT: listed as unreadable, and refuse everything until imported again."""
    with db.write() as conn:
        keys.put(conn, KEY, SHA256, b"one", WHO)
    other = Database.open(url, secret=box)
    with other.read() as conn:
        assert [(key.name, key.secret) for key in keys.all_keys(conn)] == [(KEY, None)]
        assert keys.get(conn, KEY).secret is None
    if box is None:
        with pytest.raises(StoreFailed, match="no secret file"), other.write() as conn:
            keys.put(conn, KEY, SHA256, b"two", WHO)
    else:
        with other.write() as conn:
            keys.put(conn, KEY, SHA256, b"two", WHO)
            assert keys.get(conn, KEY).secret == b"two"
    other.close()


def test_a_secret_moved_to_another_key_is_unreadable(db: Database) -> None:
    with db.write() as conn:
        keys.put(conn, KEY, SHA256, b"one", WHO)
        conn.execute(schema.keys.update().values(name=names.from_text("other.key.")))
        assert [key.secret for key in keys.all_keys(conn)] == [None]


def test_outbox_keeps_the_newest_version_of_each_zone(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        outbox.put(conn, zone.id, 7, 70)
        outbox.put(conn, zone.id, 8, 80)
        assert outbox.pending(conn) == [(zone.id, 8, 80)]
        outbox.done(conn, [(zone.id, 7)])
        assert outbox.pending(conn) == [(zone.id, 8, 80)]
        outbox.done(conn, [(zone.id, 8)])
        assert outbox.pending(conn) == []


def test_states_of_peers(db: Database) -> None:
    zone = make_zone(db)
    one = PeerState(zone.id, "192.0.2.1", {"serial": 7, "tries": [1.5, None]})
    two = PeerState(zone.id, "[2001:db8::1]:5301,key=transfer.key.", {})
    with db.write() as conn:
        outbox.save_peer_states(conn, [one, two])
        changed = one._replace(state={"serial": 8})
        outbox.save_peer_states(conn, [changed], gone=[(zone.id, two.target), (zone.id, "absent")])
        assert outbox.peer_states(conn) == [changed]
        zones.delete(conn, zone, WHO)
        zones.purge_deleted(conn, WHO.now + 1)
        assert outbox.peer_states(conn) == []


def test_settings_of_the_server(db: Database) -> None:
    with db.write() as conn:
        assert settings.get(conn, "x") is None
        settings.put(conn, "x", b"\x00one")
        settings.put(conn, "x", b"two")
        assert settings.get(conn, "x") == b"two"
        made = settings.secret(conn, "ticket", 16)
        assert (len(made), settings.secret(conn, "ticket")) == (16, made)


def test_cookie_secrets_are_renewed_daily_and_the_previous_stays_for_a_day(db: Database) -> None:
    """LIMITS, cookies; RFC 9018, 5."""
    day = settings.COOKIE_PERIOD
    with db.write() as conn:
        first = settings.cookie_secrets(conn, 1000.0)
        assert (len(first.current), first.previous, first.since) == (16, None, 1000.0)
        assert settings.cookie_secrets(conn, 999.0 + day) == first
        second = settings.cookie_secrets(conn, 1000.0 + day)
        assert (second.previous, second.since) == (first.current, 1000.0 + day)
        assert second.current != first.current
        assert settings.cookie_secrets(conn, 1000.0 + 4 * day).previous is None
    with db.read() as conn:
        assert settings.stored_cookie_secrets(conn) is not None
        assert feed.head(conn).seq == 3


def test_history_keeps_what_matters(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes of access, keys and settings stay however many changes of contents follow (R25)."""
    monkeypatch.setattr(history, "KEEP_BULK", 500)
    with db.write() as conn:
        history.add(conn, WHO, "global", "access-allow")
        for _ in range(2000):
            history.add(conn, WHO, "example.com.", "zone-edit", bulk=True)
        lines = history.entries(conn, 5000)
    assert 500 <= len(lines) <= 1501
    assert lines[-1].action == "access-allow"


def test_a_zone_goes_with_its_layer_alone(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        for layer, given in ((Layer.GLOBAL, zone), (Layer.ZONE, None)):
            with pytest.raises(ValueError, match="layer"):
                access.allow(conn, layer, given, NET, WHO)
