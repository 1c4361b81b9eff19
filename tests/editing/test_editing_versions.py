"""zone history, diff, rollback: from the journal (issue, 4)."""

from __future__ import annotations

import pytest

from dnsserver.editing import EditLimits
from dnsserver.errors import InvalidData, NotFound
from tests.support.desk import Desk


@pytest.fixture
def storied(zone: Desk) -> Desk:
    """Serials 1 to 5, versions 1 to 5."""
    zone.add("a", "A", "192.0.2.1")
    zone.add("b", "A", "192.0.2.1")
    zone.delete("a", "A")
    zone.set("b", "A", "192.0.2.2")
    return zone


def test_history_is_newest_first_with_who_and_what(storied: Desk) -> None:
    entries = storied("zone.history", name="example.com")["entries"]
    assert [(e["zone_version"], e["old_serial"], e["new_serial"]) for e in entries] == [
        (5, 4, 5), (4, 3, 4), (3, 2, 3), (2, 1, 2), (1, None, 1),
    ]  # fmt: skip
    assert (entries[0]["user"], entries[0]["comment"]) == ("alice", "record set b.example.com. A")
    assert (entries[0]["added"], entries[0]["removed"], entries[0]["time"]) == (1, 1, "2023-11-14T22:13:20Z")
    assert len(storied("zone.history", name="example.com", limit=2)["entries"]) == 2


def changes(result: dict[str, object]) -> tuple[list[str], list[str]]:
    """Added and removed, without the SOA."""
    added, removed = result["added"], result["removed"]
    assert isinstance(added, list)
    assert isinstance(removed, list)
    return [text for text in added if " SOA " not in text], [text for text in removed if " SOA " not in text]


def test_diff_of_the_last_change_and_between_serials(storied: Desk) -> None:
    last = storied("zone.diff", name="example.com")
    assert (last["old_serial"], last["new_serial"]) == (4, 5)
    assert changes(last) == (["b.example.com. 3600 IN A 192.0.2.2"], ["b.example.com. 3600 IN A 192.0.2.1"])
    # a came and went: the net effect.
    assert changes(storied("zone.diff", name="example.com", **{"from": "1"})) == (
        ["b.example.com. 3600 IN A 192.0.2.2"],
        [],
    )
    back = storied("zone.diff", name="example.com", **{"from": 3, "to": "v2"})
    assert changes(back) == ([], ["b.example.com. 3600 IN A 192.0.2.1"])
    assert changes(storied("zone.diff", name="example.com", **{"from": 3, "to": 3})) == ([], [])


@pytest.mark.parametrize("to", ["3", "v3", 3])
def test_rollback_is_a_new_change(storied: Desk, to: object) -> None:
    result = storied("zone.rollback", name="example.com", to=to)
    assert (result["old_serial"], result["new_serial"], result["changed"]) == (5, 6, True)
    assert [text for text in storied.texts() if "ns1" not in text] == [
        "a.example.com. 3600 A 192.0.2.1",
        "b.example.com. 3600 A 192.0.2.1",
    ]
    # And back again.
    storied("zone.rollback", name="example.com", to=5)
    assert [text for text in storied.texts() if "ns1" not in text] == ["b.example.com. 3600 A 192.0.2.2"]
    assert storied.serial() == 7


def test_rollback_of_the_soa_keeps_the_serial_rising(storied: Desk) -> None:
    storied.set("@", "SOA", "ns9 h 9000 1 2 3 4")
    assert storied("zone.rollback", name="example.com", to=5)["new_serial"] == 9001
    assert storied("zone.show", name="example.com")["soa"]["mname"] == "ns1.example.net."


def test_rollback_to_the_present_is_nothing(storied: Desk) -> None:
    result = storied("zone.rollback", name="example.com", to=5)
    assert (result["changed"], storied.serial()) == (False, 5)


def test_rollback_refuses_what_the_journal_does_not_know(storied: Desk) -> None:
    with pytest.raises(NotFound, match="knows no serial or version 77"):
        storied("zone.rollback", name="example.com", to=77)
    with pytest.raises(InvalidData, match="neither a serial nor a version"):
        storied("zone.rollback", name="example.com", to="yesterday")
    storied.change(limits=EditLimits(journal_size=0))
    storied.add("c", "A", "192.0.2.3")
    with pytest.raises(NotFound, match=r"knows no|too large"):
        storied("zone.rollback", name="example.com", to=4)


def test_a_serial_that_came_again_is_ambiguous(storied: Desk) -> None:
    storied.set("@", "SOA", "ns1 h 2 1 2 3 4", force=True)
    with pytest.raises(InvalidData, match="v2, v6"):
        storied("zone.rollback", name="example.com", to=2)
    assert storied("zone.rollback", name="example.com", to="v2")["new_serial"] == 3


def test_a_comment_says_why(zone: Desk) -> None:
    zone.add("a", "A", "192.0.2.1", comment="ticket 17")
    zone.add("b", "A", "192.0.2.1", comment="")
    comments = [entry["comment"] for entry in zone("zone.history", name="example.com")["entries"]]
    assert comments == ["record add b.example.com. A", "ticket 17", "zone create"]
