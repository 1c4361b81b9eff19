"""Access decisions, some twenty thousand of them, against an independent model (R1 to R5, R13, R15, R16, R18).

The model (tests/support/access_model.py) imports nothing of dnsserver. Each cell is put to the decision function and,
as a packet, to the whole server. Ten and more mutations of the decision function show that the matrix would see them.
"""

from __future__ import annotations

import ast
import inspect
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
import pytest

from dnsserver.protocol import dispatch, tsig
from dnsserver.protocol.outcome import Peer, Reply
from dnsserver.protocol.server import AnswerLimits, ServerState, ZoneMeta
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrout import TransferOut
from dnsserver.zone import access, names
from dnsserver.zone.access import AccessEntry, AccessLists, Decision, Role, Signature, explain
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, SOA
from tests.support import access_model as model
from tests.support.access_model import DOCUMENTATION, Cell, Entry

NOW = 1_700_000_000.0
HERE, OTHER, ELSEWHERE = (names.from_text(text) for text in ("matrix.example.", "other.example.", "not-here.example."))
SHA256 = names.from_text("hmac-sha256.")
KEYS = {text: Key(names.from_text(text + "."), SHA256, text.encode() * 16) for text in ("k1", "k2", "k9")}

CELLS = [*model.cells(DOCUMENTATION), *model.unserved_cells(DOCUMENTATION)]
Decide = Callable[..., Decision]


def entries(cell: Cell, layer: str) -> tuple[AccessEntry, ...]:
    return tuple(AccessEntry.parse(entry.prefix, entry.key) for entry in cell.entries if entry.layer == layer)


# The decision function


def decision(cell: Cell, decide: Decide) -> Decision:
    signature, key = {
        model.UNSIGNED: (Signature.UNSIGNED, None),
        model.BY_K1: (Signature.VALID, KEYS["k1"].name),
        model.BY_K2: (Signature.VALID, KEYS["k2"].name),
        model.FORGED_K1: (Signature.BAD, KEYS["k1"].name),
        model.BY_K9: (Signature.BAD, KEYS["k9"].name),
    }[cell.signature]
    return decide(
        role=Role(cell.role),
        lists=AccessLists(entries(cell, model.GLOBAL), entries(cell, model.SUPER_SLAVE)),
        zone_entries=entries(cell, model.ZONE),
        address=ip_address(cell.address),
        signature=signature,
        key=key,
    )


def disagreements(decide: Decide) -> Iterator[Cell]:
    """The cells where the function and the model differ: whether it is allowed, or by which list."""
    for cell in CELLS:
        wanted = model.permitting(cell)
        found = decision(cell, decide)
        if found.allowed != bool(wanted) or (found.allowed and found.layer not in wanted):
            yield cell


def test_the_matrix_is_large_and_has_enough_of_both() -> None:
    assert len(set(CELLS)) == len(CELLS) >= 4000
    outcomes = Counter(model.judge(cell)[:2] for cell in CELLS)
    assert set(outcomes) == {
        ("NOERROR", None), ("REFUSED", None), ("NOTAUTH", None), ("NOTAUTH", "BADSIG"), ("NOTAUTH", "BADKEY"),
        ("FORMERR", None), ("SERVFAIL", None),
    }  # fmt: skip
    assert min(outcomes.values()) >= 20
    assert outcomes["NOERROR", None] > 500


def test_the_matrix_has_a_half_for_secondary_zones() -> None:
    """Served, expired, and without contents (R11); each with cells that the lists permit."""
    secondary = [cell for cell in CELLS if cell.role == model.SECONDARY]
    assert len(secondary) >= 1000
    assert len(CELLS) - len(secondary) >= 1000
    by_contents = Counter((cell.contents, bool(model.permitting(cell))) for cell in secondary)
    assert {contents for contents, _ in by_contents} == {model.SERVED, model.EXPIRED, model.EMPTY}
    assert min(by_contents.values()) >= 200


def test_super_slaves_have_primary_zones_alone() -> None:
    """R2, cell by cell: what a super-slave's entry opens of a primary zone, it opens of no secondary one; what the
    global list and the zone's own open is the same of both (R1, R3).
    """
    counts: Counter[tuple[str, bool]] = Counter()
    for cell in CELLS:
        layers = {entry.layer for entry in cell.entries}
        if cell.role == model.SECONDARY and cell.contents == model.SERVED and len(layers) == 1:
            (layer,) = layers
            here = decision(cell, access.decide)
            of_a_primary = decision(cell._replace(role=model.PRIMARY), access.decide)
            counts[layer, of_a_primary.allowed] += 1
            assert here.allowed is (of_a_primary.allowed and layer != model.SUPER_SLAVE)
            is_told = here.reason == "super-slave-not-primary"
            assert is_told is (layer == model.SUPER_SLAVE and of_a_primary.allowed)
    assert min(counts[layer, True] for layer in (model.GLOBAL, model.SUPER_SLAVE, model.ZONE)) >= 50


def test_the_decision_function_agrees_with_the_model() -> None:
    assert list(disagreements(access.decide)) == []


def test_every_decision_names_its_entry_or_says_why_not() -> None:
    """R18."""
    for cell in CELLS:
        found = decision(cell, access.decide)
        assert explain(found)
        if found.allowed:
            assert found.layer is not None
            assert found.entry in entries(cell, found.layer)
        else:
            assert (found.layer, found.entry) == (None, None)


def test_the_model_imports_nothing_of_dnsserver() -> None:
    tree = ast.parse(Path(model.__file__).read_text())
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert imported
    assert not [name for name in imported if name is None or name.startswith(("dnsserver", "tests"))]


# Mutations: each is a change of the source of the decision, by its name.

MUTATIONS = {
    "super-slaves have secondary zones too": ("if role is Role.PRIMARY:", "if True:"),
    "super-slaves have nothing": ("if role is Role.PRIMARY:", "if False:"),
    "address-only entries match signed requests": ("entry.key == signer and", "entry.key in (None, signer) and"),
    "the default is to allow": ("Decision(False, None, None, _why_not(", "Decision(True, None, None, _why_not("),
    "a bad signature counts as none": ("if signature is Signature.BAD:", "if False:"),
    "a bad signature counts as a good one": (
        "if signature is Signature.BAD:", "signature = Signature.VALID if key else signature\n    if False:",
    ),
    "the prefix beside a key is ignored": (
        "entry.covers(address)", "(entry.key is not None or entry.covers(address))",
    ),
    "the key beside a prefix is ignored": (
        "entry.key == signer and", "(entry.key == signer or (entry.prefix is not None and signer is None)) and",
    ),
    "any known key will do": ("entry.key == signer and", "(entry.key is None) == (signer is None) and"),
    "v4-mapped addresses stay IPv6": ("address = plain_address(address)", "pass"),
    "the global list is forgotten": ("for entry in lists.global_:", "for entry in ():"),
    "the zone's list is forgotten": ("for entry in zone_entries:", "for entry in ():"),
    "a list that is not empty narrows the others": (
        "for entry in zone_entries:", "for entry in () if lists.global_ else zone_entries:",
    ),
    "an empty list allows all": (
        "    for layer, entry in _applicable",
        "    if not zone_entries:\n        return Decision(True, Layer.ZONE, None, '')\n"
        "    for layer, entry in _applicable",
    ),
    "the last entry alone counts": (
        "in _applicable(role, lists, zone_entries):", "in list(_applicable(role, lists, zone_entries))[-1:]:",
    ),
}  # fmt: skip


def mutated(name: str) -> Decide:
    """``decide`` with one place of its source changed."""
    source = "\n".join(inspect.getsource(part) for part in (access.decide, access._applicable, access._matches))
    old, new = MUTATIONS[name]
    assert source.count(old) == 1, f"{name}: the place to be mutated is not there once"
    namespace = dict(vars(access))
    exec(compile("from __future__ import annotations\n" + source.replace(old, new), name, "exec"), namespace)
    function: Decide = namespace["decide"]
    return function


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_matrix_sees_a_mutation(name: str) -> None:
    assert next(disagreements(mutated(name)), None) is not None


def test_there_are_mutations_enough() -> None:
    assert len(MUTATIONS) >= 10


# The whole server: packets in, answers out


def soa(owner: bytes) -> Record:
    return Record(owner, SOA, 3600, b"\0\0" + struct.pack(">IIIII", 9, 1, 2, 3, 4))


def state_for(cell: Cell) -> ServerState:
    state = ServerState(limits=AnswerLimits(ticket_key=b"t"))
    state.access = AccessLists(entries(cell, model.GLOBAL), entries(cell, model.SUPER_SLAVE))
    state.keys = {KEYS[text].name: KEYS[text] for text in ("k1", "k2")}
    own = {HERE: model.ZONE, OTHER: model.OTHER_ZONE}
    for number, (zone, layer) in enumerate(own.items()):
        is_expired = cell.contents == model.EXPIRED and zone == HERE
        meta = ZoneMeta(number, zone, Role(cell.role), expired=is_expired, access=entries(cell, layer))
        records = [soa(zone), Record(zone, NS, 1, b"\0")]
        state.publish(meta, None if cell.contents == model.EMPTY and zone == HERE else Image.build(zone, 1, records))
    return state


def request(cell: Cell) -> bytes:
    zone = names.to_text(HERE if cell.is_here else ELSEWHERE)
    query = dns.message.make_query(zone, cell.qtype)
    if cell.qtype == "IXFR":
        query.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", ". . 7 0 0 0 0"))
    if cell.signature == model.UNSIGNED:
        return query.to_wire()
    key = KEYS[cell.signature[:2]]
    if cell.signature == model.FORGED_K1:
        key = Key(key.name, key.algorithm, b"not the secret")
    return tsig.sign_request(query.to_wire(), key, NOW)[0]


class Packets(dict[Cell, bytes]):
    """Requests by what makes them differ."""

    def __missing__(self, cell: Cell) -> bytes:
        self[cell] = request(cell)
        return self[cell]


def answered(outcome: object) -> tuple[str, str | None, str | None, str | None]:
    """(RCODE, TSIG error, layer, what it gets)."""
    if isinstance(outcome, TransferOut):
        gets = "zone" if outcome.is_tcp else "changes" if outcome.needs_chain else "soa"
        return "NOERROR", None, outcome.decision.layer, gets
    assert isinstance(outcome, Reply)
    assert outcome.refusal is not None, "a refusal that would not be logged (R7)"
    rcode = dns.rcode.to_text(dns.rcode.Rcode(outcome.wire[3] & 15))
    if outcome.wire[10:12] == b"\0\0":
        return rcode, None, None, None
    signed = dns.message.from_wire(outcome.wire, keyring=False).tsig
    error = dns.rcode.Rcode(signed[0].error if signed is not None else 0)
    return rcode, dns.rcode.to_text(error, True) if error else None, None, None


def test_the_server_answers_every_cell_as_the_model_says() -> None:
    packets = Packets()
    states: dict[tuple[tuple[Entry, ...], str, str], ServerState] = {}
    wrong = []
    for cell in CELLS:
        packet = packets[cell._replace(entries=(), address="", role="", transport="", contents="")]
        setup = (cell.entries, cell.role, cell.contents)
        if setup not in states:
            states[setup] = state_for(cell)
        peer = Peer(cell.address, 53000, cell.transport == "TCP")
        outcome = dispatch.handle(states[setup], packet, peer, NOW)
        rcode, error, layer, gets = answered(outcome)
        if rcode == "SERVFAIL":
            assert isinstance(outcome, Reply)
            assert outcome.refusal is not None
            assert outcome.refusal.reason == {model.EXPIRED: "expired", model.EMPTY: "no-contents"}[cell.contents]
        wanted = model.judge(cell)
        if (rcode, error, gets) != (wanted.rcode, wanted.tsig_error, wanted.gets) or (
            layer is not None and layer not in wanted.layers
        ):
            wrong.append((cell, wanted, (rcode, error, layer, gets)))
    assert wrong == []
