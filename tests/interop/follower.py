"""dnsserver as the secondary of foreign primaries: how it is set up, and what it says of what it did."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tests.interop.versions import ZONE, version
from tests.support.client import Endpoint, Row, TsigKey, difference
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.peers import Peer, Primary
from tests.support.procs import LOOPBACK, wait_until
from tests.support.server import Server

SECONDS = 60
# For what is to happen by itself: a check every second or two, a retry after each second.
QUICK = {"refresh-min": "1s", "refresh-max": "2s", "retry-min": "1s", "retry-max": "1s"}


class Followed(NamedTuple):
    """A server with ZONE, serial 1, and the primary that it has it from."""

    server: Server
    primary: Peer
    zone: Primary

    @property
    def place(self) -> str:
        return place(self.primary)

    def publish(self, serial: int) -> None:
        self.primary.publish(ZONE, version(serial))

    def assert_equal(self) -> None:
        assert_equal(self.server, self.primary, self.zone.key)


def place(primary: Peer) -> str:
    """As the log names it."""
    return f"{primary.address}#{primary.port}"


def primary_of(
    make_peer: MakePeer, directory: Path, kind: type[Peer], server: Server, key: TsigKey | None = None,
    *, name: str = "primary", address: str = LOOPBACK, notifies: bool = True, text: str = version(1),
) -> Peer:  # fmt: skip
    """A primary of ZONE that serves it, and tells ``server`` of changes."""
    file = directory / f"{name}.zone"
    file.write_text(text)
    peer: Peer = make_peer(kind, name, address=address)
    peer.add_primary_zone(Primary(ZONE, file, (server.endpoint,) if notifies else (), key))
    peer.start()
    wait_until(lambda: peer.serial(ZONE), SECONDS, lambda: f"{peer.program} serves {ZONE}\n{peer.log[-3000:]}")
    return peer


def make_secondary(server: Server, zone: str, *primaries: Endpoint, key: TsigKey | None = None) -> Any:
    """``zone create``; the tests may transfer the zone onward. Its JSON."""
    suffix = f",key={key.name}" if key else ""
    targets = [word for at in primaries for word in ("--secondary-of", f"{at.address}:{at.port}{suffix}")]
    created = server.cli("zone", "create", zone, *targets, "--json").json
    server.allow(zone, LOOPBACK)
    return created


def followed(
    make_server: MakeServer, make_peer: MakePeer, directory: Path, kind: type[Peer], key: TsigKey | None = None,
    **arguments: Any,
) -> Followed:  # fmt: skip
    """``arguments``: of the server."""
    server: Server = make_server(**arguments)
    peer = primary_of(make_peer, directory, kind, server, key)
    if key:
        server.import_key(key)
    created = make_secondary(server, ZONE, peer.endpoint, key=key)
    assert not created["warnings"], created
    server.wait_serial(ZONE, 1, SECONDS)
    return Followed(server, peer, peer.primaries[0])


def transfers(server: Server, count: int, zone: str = ZONE) -> list[tuple[str, str]]:
    """Kind and serials of each transfer in, as the log tells them once there are so many: it may be a moment behind."""

    def logged() -> list[dict[str, str]]:
        return server.events("zone-transferred", zone=zone.rstrip(".") or ".")

    wait_until(lambda: len(logged()) >= count, SECONDS, lambda: f"{count} transfers are logged, not {logged()}")
    return [(event["kind"], event["serial"]) for event in logged()]


def status(server: Server) -> Any:
    return server.cli("zone", "status", ZONE, "--json").json


def wait_state(server: Server, seconds: float = SECONDS, **fields: object) -> Any:
    """Until ``zone status`` says so, and all that it says then."""
    last: dict[str, Any] = {}

    def is_so() -> bool:
        last.update(server.control("zone.status", name=ZONE))
        return fields.items() <= last.items()

    wait_until(is_so, seconds, lambda: f"status {fields}, not {last}\n{server.log[-3000:]}")
    return status(server)


def kept(server: Server, name: str, **fields: object) -> Any:
    """The newest such event in ``dnsserver events --json``: they are stored within a second or so."""
    last: list[dict[str, Any]] = []

    def found() -> list[dict[str, Any]]:
        last[:] = server.cli("events", "--zone", ZONE, "--json").json["events"]
        return [event for event in last if event["name"] == name and fields.items() <= event.items()]

    return wait_until(found, SECONDS, lambda: f"event {name} {fields} is kept, not {last}", every=0.5)[-1]


def assert_equal(server: Server, primary: Peer, key: TsigKey | None = None, zone: str = ZONE) -> list[Row]:
    """Both have the same zone, record for record; and this is it."""
    theirs, ours = primary.axfr(zone, key), server.axfr(zone)
    assert ours == theirs, f"{primary.program}:\n{difference(theirs, ours)}"
    return ours
