"""A secondary zone expires when its SOA says (R11, R26), to two seconds: whatever dies, sleeps or jumps meanwhile.

Two halves: the whole server, whose zones live for seconds; and the keeper's refresher alone, whose clocks jump.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

import dns.edns
import dns.rcode
import pytest

from dnsserver import link
from dnsserver.events import Event
from dnsserver.keeper.fetch import Fetcher
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.refresher import Refresher
from dnsserver.keeper.watch import FeedWatch
from dnsserver.store import refresh
from dnsserver.store.database import Database
from tests.support import client
from tests.support.client import Refused
from tests.support.desk import Desk
from tests.support.fixtures import MakeServer
from tests.support.hostile import Ask, End, Hosted, HostilePrimary, Step, good
from tests.support.keeping import keeper_settings
from tests.support.procs import wait_until
from tests.support.server import Server

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("expiry")]

ZONE = "expiring.test."
RIGHT_TO = 2.0
# refresh, retry and expire of the zone; checked every second, it lives for seven after the last good check.
TIMERS = (1, 1, 7)
LIMITS = {"refresh-min": "1s", "retry-min": "1s", "expire-min": "1s"}


def dead(ask: Ask) -> list[Step]:
    """A primary that has gone: no datagram is answered, no connection kept."""
    return [End()]


def refusing(ask: Ask) -> list[Step]:
    return [ask.reply(rcode=5)]


@pytest.fixture
def primary() -> Iterator[HostilePrimary]:
    with HostilePrimary() as found:
        found.zones[ZONE] = Hosted(lambda ask: good(ask, 1), timers=TIMERS)
        yield found


@pytest.fixture
def server(make_server: MakeServer, primary: HostilePrimary) -> Server:
    found: Server = make_server(limits=LIMITS, server={"notify": False})
    found.allow_everywhere("127.0.0.1")
    target = f"{primary.endpoint.address}:{primary.endpoint.port}"
    found.control("zone.create", name=ZONE, secondary_of=[target])
    found.wait_serial(ZONE, 1)
    return found


def rcode(server: Server) -> str | None:
    """What the zone's SOA is answered with; None when nothing answers."""
    try:
        answer = client.ask(server.endpoint, ZONE, "SOA", timeout=0.5, tries=1)
    except OSError:
        return None
    return dns.rcode.to_text(answer.rcode())


def die(primary: HostilePrimary) -> float:
    """The primary goes; when it gave its last answer, which is when the zone was last found good."""
    hosted = primary.zones[ZONE]
    answered: list[float] = []

    def alive(ask: Ask) -> list[bytes]:
        answered.append(time.monotonic())
        return good(ask, 1)

    hosted.script = alive
    wait_until(lambda: answered, 10, "the zone is checked every second", every=0.01)
    hosted.script = dead
    return answered[-1]


def wait_stored(server: Server, last_good: float) -> None:
    """Until a process that comes later knows of the last good check: what the keeper knows is stored once a second."""
    expires = time.time() - time.monotonic() + last_good + TIMERS[2]

    def stored() -> float:
        found = server.control("zone.status", name=ZONE)["expires"]
        return datetime.fromisoformat(found).timestamp() if found else 0.0

    # It is told in whole seconds.
    wait_until(lambda: stored() > expires - 1, 5, "the last good check is stored")


def expires_at(server: Server, last_good: float) -> None:
    """Answered until the time, to two seconds, and not after it."""
    expected = last_good + TIMERS[2]

    def is_over() -> bool:
        late = time.monotonic() - expected
        found = rcode(server)
        # Asked for at that moment or later; where nothing answers, nothing is answered wrongly.
        assert found != "NOERROR" or late < RIGHT_TO, f"still {found} {late:.1f} s after\n{server.log[-2000:]}"
        return found == "SERVFAIL"

    wait_until(is_over, 60, "it expires", every=0.02)
    assert time.monotonic() > expected - RIGHT_TO, "it expired too early"


def test_a_zone_expires_and_comes_back(server: Server, primary: HostilePrimary) -> None:
    """Its data is kept, and served again after one good check (R11)."""
    expires_at(server, die(primary))
    answer = client.ask(server.endpoint, f"www.{ZONE}", "A")
    assert answer.rcode() == dns.rcode.SERVFAIL
    assert [option.code for option in answer.options if isinstance(option, dns.edns.EDEOption)]
    with pytest.raises(Refused):
        server.axfr(ZONE)
    wait_until(lambda: server.control("zone.status", name=ZONE)["state"] == "expired", 5, "it is stored")
    server.wait_event("zone-expired", zone=ZONE.rstrip("."))
    primary.zones[ZONE].script = lambda ask: good(ask, 1)
    server.wait_serial(ZONE, 1, 20)
    assert server.axfr(ZONE) == _rows()
    server.wait_event("zone-recovered", zone=ZONE.rstrip("."))
    wait_until(lambda: server.control("zone.status", name=ZONE)["state"] == "active", 5, "it is stored")


def _rows() -> list[client.Row]:
    ask = Ask(0, b"\x08expiring\4test\0", 252, True, None, b"", None, TIMERS)
    return sorted(client.answers_in(ask.whole(serial=1))[:-1])


def _stop_the_keeper(server: Server) -> None:
    server.kill("keeper", signal.SIGSTOP)


def _kill_the_keeper(server: Server) -> None:
    server.kill("keeper")


def _kill_the_answerer(server: Server) -> None:
    server.kill("answerer")


def _kill_both_children(server: Server) -> None:
    server.kill("keeper")
    server.kill("answerer")


def _kill_all(server: Server) -> None:
    server.kill("all")
    server.start()


def _restart(server: Server) -> None:
    assert server.stop() == 0
    server.start()


@pytest.mark.parametrize(
    "happens", [_stop_the_keeper, _kill_the_keeper, _kill_the_answerer, _kill_both_children, _kill_all, _restart]
)
def test_it_expires_on_time_whatever_dies(
    server: Server, primary: HostilePrimary, happens: Callable[[Server], None]
) -> None:
    last_good = die(primary)
    wait_stored(server, last_good)
    happens(server)
    expires_at(server, last_good)


def test_it_is_expired_after_a_downtime(server: Server, primary: HostilePrimary) -> None:
    """Not one answer with authority after the start: what the file says is believed before the first packet."""
    last_good = die(primary)
    wait_stored(server, last_good)
    server.kill("all")
    wait_until(lambda: time.monotonic() > last_good + TIMERS[2] + 0.5, 15, "it expires while nothing runs")
    server.launch()
    heard = {wait_until(lambda: rcode(server), 30, "it answers", every=0.01)}
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        heard.add(rcode(server))
    assert heard - {None} == {"SERVFAIL"}, heard
    primary.zones[ZONE].script = lambda ask: good(ask, 1)
    server.wait_serial(ZONE, 1, 20)


def test_a_primary_that_is_slow_to_die_keeps_it_alive(server: Server, primary: HostilePrimary) -> None:
    """A check that fails between good ones changes nothing."""
    hosted = primary.zones[ZONE]
    for _ in range(2):
        die(primary)
        hosted.script = refusing  # what fails at once, long before it expires
        wait_until(lambda: server.control("zone.status", name=ZONE)["stale"], 15, "a check fails")
        assert wait_until(lambda: rcode(server), 10, "an answer") == "NOERROR"
        hosted.script = lambda ask: good(ask, 1)
        wait_until(lambda: not server.control("zone.status", name=ZONE)["stale"], 15, "a check is good again")
    expires_at(server, die(primary))


# The refresher alone, with clocks that jump

Run = Callable[[Callable[["Zone"], Awaitable[None]]], None]
DAY = 86400.0
LONG = (3600, 600, 40000)


class JumpingClock:
    """The machine's clocks, moved: ``passed`` moves both, ``jumped`` the wall clock alone."""

    def __init__(self, origin: float = 0.0) -> None:
        self.origin = origin
        self.passed = 0.0
        self.jumped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.passed + self.origin

    def wall(self) -> float:
        return time.time() + self.passed + self.jumped


class Keeping:
    """A refresher on a database; ``deadline``: what answerers were told last, by its monotonic clock."""

    def __init__(self, database: Database, clock: JumpingClock) -> None:
        self.clock = clock
        self.events: list[Event] = []
        self.deadline: float | None = None
        self.expirations: list[bool] = []
        self._offload = Offload(2)
        settings = keeper_settings()
        watch = FeedWatch()
        fetcher = Fetcher(settings, database, self._offload, self.events.append)
        self.refresher = Refresher(
            settings, database, watch, self._offload, fetcher, clock,
            happened=self.events.append, tell=self._told, expired=lambda zone, is_so: self.expirations.append(is_so),
        )  # fmt: skip
        self._task = asyncio.create_task(self.refresher.run())

    def left(self) -> float:
        """Seconds until the answerers let it expire."""
        assert self.deadline is not None, "no deadline was told"
        return self.deadline - self.clock.monotonic()

    def _told(self, message: link.Message) -> None:
        assert isinstance(message, link.Deadlines)
        for _, left in message.entries:
            self.deadline = None if left is None else self.clock.monotonic() + left

    async def kill(self) -> None:
        """As kill -9: nothing is stored any more."""
        self._task.cancel()
        for task in list(self.refresher._tasks):
            task.cancel()
        await asyncio.gather(self._task, *self.refresher._tasks, return_exceptions=True)
        self._offload.close()


async def until(check: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)


class Zone:
    """A secondary zone in a database, its primary, and one refresher after another."""

    def __init__(self, database: Database, primary: HostilePrimary) -> None:
        self.database, self.clock = database, JumpingClock()
        self.hosted = primary.zones[ZONE]
        self.hosted.timers = LONG
        self.ends = 0.0
        self._keeping: Keeping | None = None
        target = f"{primary.endpoint.address}:{primary.endpoint.port}"
        Desk(database)("zone.create", name=ZONE, secondary_of=[target])

    async def start(self) -> Keeping:
        """A new process, whose monotonic clock begins elsewhere; returns when it has read what is stored."""
        self.clock.origin += 12345.6
        self._keeping = Keeping(self.database, self.clock)
        await until(self._keeping.refresher._loaded.is_set, "the zones are loaded")
        return self._keeping

    async def transferred(self) -> Keeping:
        """It is here, found good just now, and the primary refuses from now on."""
        keeping = await self.start()
        await until(lambda: keeping.deadline is not None, "a transfer")
        self.hosted.script = refusing
        self.ends = time.monotonic() + self.clock.passed + LONG[2]
        await until(lambda: self.is_stored(keeping), "its deadline is stored")
        assert keeping.left() == pytest.approx(self.left(), abs=RIGHT_TO)
        return keeping

    def left(self) -> float:
        """Seconds it has to live, whatever any clock of the machine says."""
        return self.ends - time.monotonic() - self.clock.passed

    async def kill(self) -> None:
        if self._keeping is not None:
            await self._keeping.kill()
            self._keeping = None

    def is_stored(self, keeping: Keeping) -> bool:
        """Whether a later process would have the same deadline, by the wall clock as it is."""
        with self.database.read() as conn:
            states = refresh.load(conn)
        expires = states[0][1]["expires"] if states else None
        return expires is not None and abs(expires - self.clock.wall() - keeping.left()) < 0.5

    def is_stored_as_expired(self) -> bool:
        with self.database.read() as conn:
            return [state["expired"] for _, state in refresh.load(conn)] == [True]


@pytest.fixture
def run(tmp_path: Path, primary: HostilePrimary) -> Run:
    def play(scene: Callable[[Zone], Awaitable[None]]) -> None:
        async def main() -> None:
            with contextlib.closing(Database.open(f"sqlite:///{tmp_path}/db", create=True)) as database:
                zone = Zone(database, primary)
                try:
                    await scene(zone)
                finally:
                    await zone.kill()

        asyncio.run(main())

    return play


async def lives_and_expires(keeping: Keeping) -> None:
    """Alive until two seconds before its time, expired a moment after it."""
    left = keeping.left()
    keeping.clock.passed += left - RIGHT_TO
    await asyncio.sleep(1.5)  # longer than the refresher ever waits: nothing is what must happen
    # On a machine that has stood still meanwhile, its time has come.
    assert True not in keeping.expirations or keeping.left() <= 0
    keeping.clock.passed += RIGHT_TO
    await until(lambda: keeping.expirations[-1:] == [True], "it expires", 2)
    assert keeping.left() <= 0


@pytest.mark.parametrize("jump", [DAY, -DAY, 400 * DAY])
def test_a_jump_of_the_clock_changes_nothing_in_a_running_process(run: Run, jump: float) -> None:
    async def scene(zone: Zone) -> None:
        keeping = await zone.transferred()
        zone.clock.jumped += jump
        await until(lambda: zone.is_stored(keeping), "what is stored follows the clock")
        assert keeping.left() == pytest.approx(zone.left(), abs=RIGHT_TO)
        await lives_and_expires(keeping)

    run(scene)


@pytest.mark.parametrize("jump", [0.0, DAY, -DAY])
@pytest.mark.parametrize("downtime", [0.0, 10_000.0, LONG[2] - 10.0])
def test_a_deadline_survives_kill_and_downtime_after_a_jump(run: Run, jump: float, downtime: float) -> None:
    async def scene(zone: Zone) -> None:
        keeping = await zone.transferred()
        zone.clock.jumped += jump
        await until(lambda: zone.is_stored(keeping), "what is stored follows the clock")
        await zone.kill()
        zone.clock.passed += downtime
        keeping = await zone.start()
        assert keeping.left() == pytest.approx(zone.left(), abs=RIGHT_TO)
        await lives_and_expires(keeping)

    run(scene)


def test_it_expires_at_once_after_a_longer_downtime_and_recovers(run: Run) -> None:
    async def scene(zone: Zone) -> None:
        await zone.transferred()
        await zone.kill()
        zone.clock.passed += LONG[2] + 1
        keeping = await zone.start()
        assert keeping.expirations == [True]
        assert keeping.left() <= 0
        zone.hosted.script = lambda ask: good(ask, 1)
        zone.clock.passed += LONG[1]
        await until(lambda: keeping.expirations == [True, False], "one good check brings it back")
        assert keeping.left() == pytest.approx(LONG[2], abs=RIGHT_TO)
        assert "zone-recovered" in [event.name for event in keeping.events]

    run(scene)


@pytest.mark.parametrize("jump", [-DAY, -400 * DAY])
def test_a_clock_that_was_set_back_while_nothing_ran_lengthens_no_life(run: Run, jump: float) -> None:
    """Beyond what one good check just now would give: then nobody can know better."""

    async def scene(zone: Zone) -> None:
        await zone.transferred()
        await zone.kill()
        zone.clock.passed += 100
        zone.clock.jumped += jump
        keeping = await zone.start()
        assert keeping.left() <= LONG[2]
        await lives_and_expires(keeping)

    run(scene)


def test_an_expired_zone_stays_expired_whatever_the_clock_says(run: Run) -> None:
    async def scene(zone: Zone) -> None:
        keeping = await zone.transferred()
        keeping.clock.passed += LONG[2] + 1
        await until(lambda: keeping.expirations == [True], "it expires")
        await until(zone.is_stored_as_expired, "it is stored")
        await zone.kill()
        zone.clock.jumped -= DAY
        keeping = await zone.start()
        assert keeping.expirations == [True]
        assert keeping.left() <= 0

    run(scene)
