"""Who may transfer: R1 to R5, R15, R16, R18, R19, and the keys of NOTIFY targets (R8)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from dnsserver.errors import InvalidData
from dnsserver.zone import names
from dnsserver.zone.access import (
    AccessEntry,
    AccessLists,
    Decision,
    Layer,
    Role,
    Signature,
    decide,
    explain,
    match_key_for,
    opening_keys,
    single_addresses,
)

KEY = names.from_text("k1.")
OTHER = names.from_text("k2.")


def entry(prefix: str | None = None, key: str | None = None) -> AccessEntry:
    return AccessEntry.parse(prefix, key)


def ask(
    address: str,
    *,
    key: bytes | None = None,
    bad: bool = False,
    role: Role = Role.PRIMARY,
    global_: tuple[AccessEntry, ...] = (),
    super_slaves: tuple[AccessEntry, ...] = (),
    zone: tuple[AccessEntry, ...] = (),
) -> Decision:
    signature = Signature.BAD if bad else Signature.VALID if key else Signature.UNSIGNED
    lists = AccessLists(global_, super_slaves)
    return decide(
        role=role, lists=lists, zone_entries=zone, address=ip_address(address), signature=signature, key=key
    )  # fmt: skip


NET = entry("192.0.2.0/24")
KEYED = entry(None, "K1")
BOTH = entry("192.0.2.0/24", "k1")

CASES = [
    # R15: nothing configured, nothing permitted.
    ({}, "192.0.2.1", None, None, "no-entries"),
    # R1 to R3: each layer alone is enough (R4).
    ({"global_": (NET,)}, "192.0.2.1", None, Layer.GLOBAL, "entry-matches"),
    ({"super_slaves": (NET,)}, "192.0.2.1", None, Layer.SUPER_SLAVE, "entry-matches"),
    ({"zone": (NET,)}, "192.0.2.1", None, Layer.ZONE, "entry-matches"),
    ({"global_": (entry("198.51.100.1"),), "zone": (NET,)}, "192.0.2.1", None, Layer.ZONE, "entry-matches"),
    # R2: super-slaves have no part in secondary zones.
    ({"super_slaves": (NET,), "role": Role.SECONDARY}, "192.0.2.1", None, None, "super-slave-not-primary"),
    ({"global_": (NET,), "role": Role.SECONDARY}, "192.0.2.1", None, Layer.GLOBAL, "entry-matches"),
    # R16: prefix, key, or both together.
    ({"zone": (NET,)}, "192.0.3.1", None, None, "no-entry-matches"),
    ({"zone": (NET,)}, "2001:db8::1", None, None, "no-entry-matches"),
    ({"zone": (NET,)}, "::ffff:192.0.2.9", None, Layer.ZONE, "entry-matches"),
    ({"zone": (entry("::ffff:192.0.2.0/120"),)}, "192.0.2.9", None, Layer.ZONE, "entry-matches"),
    ({"zone": (entry("::/0"),)}, "::ffff:192.0.2.9", None, None, "no-entry-matches"),
    ({"zone": (NET,)}, "192.0.2.1", KEY, None, "address-entry-is-unsigned"),
    ({"zone": (KEYED,)}, "203.0.113.1", KEY, Layer.ZONE, "entry-matches"),
    ({"zone": (KEYED,)}, "203.0.113.1", None, None, "key-required"),
    ({"zone": (KEYED,)}, "203.0.113.1", OTHER, None, "wrong-key"),
    ({"zone": (BOTH,)}, "192.0.2.1", KEY, Layer.ZONE, "entry-matches"),
    ({"zone": (BOTH,)}, "192.0.2.1", None, None, "key-required"),
    ({"zone": (BOTH,)}, "192.0.2.1", OTHER, None, "wrong-key"),
    ({"zone": (BOTH,)}, "192.0.3.1", KEY, None, "wrong-address"),
    ({"zone": (BOTH,)}, "192.0.3.1", OTHER, None, "no-entry-matches"),
]


@pytest.mark.parametrize(("lists", "address", "key", "layer", "reason"), CASES)
def test_decisions(lists: dict[str, object], address: str, key: bytes | None, layer: Layer | None, reason: str) -> None:
    decision = ask(address, key=key, **lists)  # type: ignore[arg-type]
    assert (decision.allowed, decision.layer, decision.reason) == (layer is not None, layer, reason)
    assert explain(decision)


def test_a_bad_signature_is_never_permitted_whatever_its_address() -> None:
    """R16, RFC 8945, 5.2."""
    decision = ask("192.0.2.1", key=KEY, bad=True, global_=(NET, KEYED, BOTH), zone=(NET,))
    assert (decision.allowed, decision.reason) == (False, "bad-signature")


def test_the_decision_names_its_entry_and_says_so_in_words() -> None:
    """R18."""
    decision = ask("192.0.2.1", key=KEY, super_slaves=(NET, BOTH))
    assert decision.entry == BOTH
    assert explain(decision) == "allowed by the super-slave list's entry 192.0.2.0/24 key=k1."


def test_a_decision_has_no_truth_value() -> None:
    with pytest.raises(TypeError):
        bool(ask("192.0.2.1"))


def test_a_valid_signature_without_a_key_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="key"):
        decide(
            role=Role.PRIMARY, lists=AccessLists((NET,)), zone_entries=(), address=ip_address("192.0.2.1"),
            signature=Signature.VALID, key=None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("prefix", "key", "text"),
    [
        ("192.0.2.0/24", None, "192.0.2.0/24"),
        ("192.0.2.1", "Key.Example", "192.0.2.1/32 key=key.example."),
        (None, "k1", "key=k1."),
        ("2001:db8::/32", None, "2001:db8::/32"),
        ("::ffff:192.0.2.7", None, "192.0.2.7/32"),
    ],
)
def test_entries_as_text(prefix: str | None, key: str | None, text: str) -> None:
    assert entry(prefix, key).text() == text


@pytest.mark.parametrize(("prefix", "key"), [(None, None), ("192.0.2.1/24", None), ("example", None), (None, "a..b")])
def test_bad_entries(prefix: str | None, key: str | None) -> None:
    with pytest.raises(InvalidData):
        entry(prefix, key)


def test_which_keys_would_open_it() -> None:
    """R19: whether a key is required, and which."""
    found = opening_keys(
        role=Role.SECONDARY, lists=AccessLists((NET, BOTH), (entry(None, "k2"),)), zone_entries=(KEYED,),
        address=ip_address("192.0.2.1"),
    )  # fmt: skip
    assert found == (KEY,)


def test_the_key_of_a_notify_target() -> None:
    """R8: that of the most specific single-address entry that matches, else unsigned."""
    one, two = entry("192.0.2.1", "k1"), entry("192.0.2.1", "k2")
    address = ip_address("192.0.2.1")
    assert match_key_for(address, (entry("192.0.2.0/24", "k2"), one)) == KEY
    assert match_key_for(address, (two,), (one,)) == OTHER
    assert match_key_for(address, (entry("192.0.2.1"), one)) == KEY
    assert match_key_for(address, (entry("192.0.2.1"),), (one,)) is None
    assert match_key_for(address, (entry(None, "k1"), NET)) is None
    assert match_key_for(ip_address("::ffff:192.0.2.1"), (one,)) == KEY
    assert single_addresses((NET, KEYED, one, entry("2001:db8::1"))) == (
        (address, KEY), (ip_address("2001:db8::1"), None),
    )  # fmt: skip
