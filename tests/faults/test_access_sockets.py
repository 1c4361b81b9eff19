"""A sample of the access matrix over real sockets: a stranger sees what the model says (R1 to R7, R13 to R18)."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import dns.tsig
import pytest

from tests.support import access_model as model
from tests.support import client
from tests.support.access_model import LOOPBACK, Cell, Entry, Verdict
from tests.support.client import TsigKey
from tests.support.fixtures import MakeServer
from tests.support.procs import free_port, wait_until
from tests.support.server import Server

pytestmark = pytest.mark.faults

HERE, OTHER, ELSEWHERE, CANARY = "matrix.example.", "other.example.", "elsewhere.example.", "canary.example."
SETUPS, CELLS_EACH = 25, 8
KEYS = {name: TsigKey(f"{name}.", secret) for name, secret in (("k1", "a2V5LW9uZQ=="), ("k2", "a2V5LXR3bw=="))}
SIGNED = {
    model.BY_K1: KEYS["k1"],
    model.BY_K2: KEYS["k2"],
    model.FORGED_K1: TsigKey("k1.", "bm90IHRoZSBzZWNyZXQ="),
    model.BY_K9: TsigKey("k9.", "bm9ib2R5IGtub3dz"),
}


def sample() -> Iterator[tuple[tuple[Entry, ...], list[Cell]]]:
    """(lists, requests), the same in every run; half of the requests are such as the lists permit, where there are."""
    rng = random.Random(1996)
    cells = [cell for cell in model.cells(LOOPBACK) if cell.role == model.PRIMARY]
    setups = [(entries, list(found)) for entries, found in groupby(cells, lambda cell: cell.entries)]
    for entries, found in rng.sample(setups, SETUPS):
        granted = [cell for cell in found if model.judge(cell).rcode == "NOERROR"]
        chosen = rng.sample(granted, min(len(granted), CELLS_EACH // 2))
        others = [cell for cell in found if cell not in chosen]
        yield entries, chosen + rng.sample(others, CELLS_EACH - len(chosen))


def exchange(server: Server, cell: Cell) -> dns.message.Message:
    """The (first) answer to the cell's request, sent from its address."""
    zone = HERE if cell.is_here else ELSEWHERE
    query = dns.message.make_query(zone, cell.qtype, use_edns=0, payload=1232)
    query.flags &= ~dns.flags.RD
    if cell.qtype == "IXFR":
        query.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", ". . 1 0 0 0 0"))
    if cell.signature != model.UNSIGNED:
        query.use_tsig(SIGNED[cell.signature].dnspython)
    is_ipv6 = ":" in cell.address
    kind = socket.SOCK_STREAM if cell.transport == "TCP" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, kind) as sock:
        sock.settimeout(20)
        sock.bind((cell.address, 0))
        sock.connect(("::1" if is_ipv6 else "127.0.0.1", server.port))
        if cell.transport == "TCP":
            client.send_tcp(sock, query.to_wire())
            wire = client.receive_tcp(sock)
        else:
            sock.send(query.to_wire())
            wire = sock.recv(65535)
    if cell.signature in (model.BY_K1, model.BY_K2):
        # Whatever it says, it is signed (RFC 8945, 5.3): this raises where it is not right.
        return dns.message.from_wire(wire, keyring=query.keyring, request_mac=query.mac, xfr=True, multi=True)
    return dns.message.from_wire(wire, keyring=False, xfr=True)


def seen(message: dns.message.Message) -> tuple[str, str | None, str | None]:
    """(RCODE, TSIG error, what it got), to be compared with a Verdict."""
    error = dns.rcode.Rcode(message.tsig[0].error) if message.tsig is not None else dns.rcode.NOERROR
    records = sum(len(rrset) for rrset in message.answer)
    gets = None if not records else "soa" if records == 1 else "more"
    return dns.rcode.to_text(message.rcode()), dns.rcode.to_text(error, True) if error else None, gets


def wanted(verdict: Verdict) -> tuple[str, str | None, str | None]:
    gets = "more" if verdict.gets in ("zone", "changes") else verdict.gets
    return verdict.rcode, verdict.tsig_error, gets


def change(server: Server, operation: str, entries: tuple[Entry, ...]) -> None:
    zones = {model.ZONE: HERE, model.OTHER_ZONE: OTHER}
    for entry in entries:
        layer = model.ZONE if entry.layer == model.OTHER_ZONE else entry.layer
        arguments: dict[str, Any] = {
            "layer": layer, "zone": zones.get(entry.layer), "prefix": entry.prefix, "key": entry.key,
        }  # fmt: skip
        server.control(operation, **{name: value for name, value in arguments.items() if value is not None})


def settle(server: Server, number: int) -> None:
    """Until the answerer has taken in all changes so far: they come in order, and this one can be seen."""
    canary = Cell((), f"127.250.0.{number + 1}", model.UNSIGNED, "AXFR", "TCP", model.PRIMARY, True)
    server.control("access.allow", layer="zone", zone=CANARY, prefix=canary.address)

    def is_seen() -> bool:
        with socket.create_connection(server.endpoint, 20, (canary.address, 0)) as sock:
            client.send_tcp(sock, dns.message.make_query(CANARY, "AXFR").to_wire())
            return client.receive_tcp(sock)[3] & 15 == 0

    wait_until(is_seen, 10, "the lists are in force")


def explained(server: Server, cell: Cell) -> None:
    """R18: ``access explain`` asks the same function."""
    key: dict[str, Any] = {"key": cell.signature} if cell.signature != model.UNSIGNED else {}
    found = server.control("access.explain", zone=HERE, address=cell.address, **key)
    layers = model.permitting(cell)
    assert found["allowed"] == bool(layers), cell
    assert (found["layer"] in layers) if layers else (found["layer"] is None and found["reason"]), cell


def test_a_sample_of_the_matrix_over_real_sockets(make_server: MakeServer) -> None:
    port = free_port()
    server = make_server(port=port, server={"listen": [f"127.0.0.1:{port}", f"[::1]:{port}"]})
    for zone in (HERE, OTHER, CANARY):
        server.cli("zone", "create", zone, "--ns", f"ns.{zone}=192.0.2.53")
    for key in KEYS.values():
        server.import_key(key)
    server.cli("record", "add", HERE, "www", "A", "192.0.2.80")
    asked, wrong = 0, []
    for number, (entries, cells) in enumerate(sample()):
        change(server, "access.allow", entries)
        settle(server, number)
        for cell in cells:
            asked += 1
            found, right = seen(exchange(server, cell)), wanted(model.judge(cell))
            if found != right:
                wrong.append((cell, right, found))
            if cell.is_here and cell.signature in (model.UNSIGNED, model.BY_K1, model.BY_K2):
                explained(server, cell)
        change(server, "access.revoke", entries)
    assert wrong == []
    assert asked == SETUPS * CELLS_EACH == 200


def test_the_log_names_who_was_served_and_who_was_refused(make_server: MakeServer) -> None:
    """R7; a refusal's ticket is the same on the wire and in the log (R5, item 6)."""
    server = make_server()
    server.cli("zone", "create", HERE, "--ns", f"ns.{HERE}=192.0.2.53")
    server.allow(HERE, "127.0.2.7")
    server.import_key(KEYS["k1"])
    cell = Cell((), "127.0.2.7", model.UNSIGNED, "AXFR", "TCP", model.PRIMARY, True)

    def peer(event: dict[str, str]) -> str:
        return event["peer"].partition("#")[0]

    wait_until(lambda: exchange(server, cell).rcode() == dns.rcode.NOERROR, 10, "the entry is in force")
    assert peer(server.wait_event("transfer-out", zone=HERE.removesuffix("."), kind="axfr")) == "127.0.2.7"
    refused = exchange(server, cell._replace(address="127.0.9.9"))
    event = server.wait_event("transfer-refused", zone=HERE.removesuffix("."), reason="no-entry-matches")
    assert (peer(event), event["key"]) == ("127.0.9.9", "-")
    assert f"ticket {event['ticket']}" in str(refused.options[0])
    exchange(server, cell._replace(address="127.0.8.8", signature=model.FORGED_K1))
    event = server.wait_event("transfer-refused", zone=HERE.removesuffix("."), reason="badsig")
    assert (peer(event), event["key"]) == ("127.0.8.8", "k1")
