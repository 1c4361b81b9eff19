"""The answering process: loads the zones from SQL, then answers and sends, and follows the keeper."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import time
from collections import Counter

from dnsserver import child, link, log, priority
from dnsserver.answerer.keeper_link import KeeperLink
from dnsserver.answerer.loading import stored
from dnsserver.answerer.notifies import Notifies
from dnsserver.answerer.refusals import RefusalLog
from dnsserver.answerer.replica import Replica
from dnsserver.answerer.settings import AnswererSettings
from dnsserver.answerer.tcp import TcpListener
from dnsserver.answerer.transfers import Transfers
from dnsserver.answerer.udp import FirstLevel, UdpListener
from dnsserver.protocol.outcome import NotifyDenied, NotifyTaken, Peer, Refusal
from dnsserver.protocol.ratelimit import RateLimit, RateLimiter
from dnsserver.protocol.server import AnswerLimits, ServerState, View
from dnsserver.zone import names

# After SIGTERM: how long transfers under way may take.
_GRACE = 5.0
# The same peer asking for the same zone is reported once in this time.
_HEARD_INTERVAL = 1.0
_HEARD_MOST = 10_000
# How late a zone may expire (R11), and a summary be.
_TICK = 0.5


def _limits(settings: AnswererSettings, ticket_key: bytes) -> AnswerLimits:
    return AnswerLimits(
        udp_payload=settings.udp_payload,
        tsig_fudge=settings.tsig_fudge,
        transfer_message=settings.transfer_message,
        ixfr_max_ratio=settings.ixfr_max_ratio,
        ticket_key=ticket_key,
        ixfr=settings.ixfr,
    )


def _rule(settings: AnswererSettings) -> RateLimit | None:
    if settings.rate_limit is None:
        return None
    return RateLimit(settings.rate_limit, settings.rate_limit_slip, settings.rate_limit_prefixes)


class Answerer:
    """Puts the parts together; all of them live on one loop."""

    def __init__(self, settings: AnswererSettings) -> None:
        self._settings = settings
        self.counters: Counter[str] = Counter()
        self.state = ServerState(limits=_limits(settings, b""))
        self.replica = Replica(self.state, cookies=settings.cookies, counters=self.counters)
        self._configured: tuple[TcpListener | Transfers, ...] = ()
        self._listeners: list[UdpListener] = []
        self._limiter: RateLimiter | None = None
        self._heard: dict[tuple[int, str], float] = {}
        self._keeper = KeeperLink(settings.link_path, self.replica, self.counters)
        self._refusals = RefusalLog(settings.refused_log_interval, self._keeper.happened)

    def load(self) -> None:
        """Read everything from the database, before there is anything to answer. Ends the process where it cannot."""
        self.replica.load(stored(self._settings))

    async def run(self) -> None:
        settings = self._settings
        priority.come_first()
        life = child.Life(self._reloaded)
        await life.begin()
        loop = asyncio.get_running_loop()
        transfers = Transfers(
            settings, self._keeper, self.counters, lambda client: tcp.end_transfer(client), self._peer_heard
        )
        self._notifies = Notifies(self._keeper.tell, self.counters, time.monotonic, loop.call_later)
        self._keeper.connected = self._notifies.connected
        told = (self._peer_heard, self._refused, self._notified)
        tcp = TcpListener(settings, self.state, self.counters, transfers.over_tcp, *told)
        cache = FirstLevel(settings.cache_size)
        self._listeners = listeners = [
            UdpListener(_adopt(fd), self.state, cache, self.counters, transfers.over_udp, *told)
            for fd in settings.udp_fds
        ]
        self._configured = (tcp, transfers)
        self._limit_rate(settings)
        for listener in listeners:
            listener.start(loop)
        for fd in settings.tcp_fds:
            tcp.listen(_adopt(fd))
        following = asyncio.create_task(self._keeper.run())
        watching = asyncio.create_task(self._watch_time())
        child.tell("ready")
        await life.ending.wait()
        for listener in listeners:
            listener.stop(loop)
        await tcp.stop(_GRACE)
        for task in (following, watching):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _reloaded(self, settings: AnswererSettings) -> None:
        """Take all that may change while it runs; what may not, the supervisor does not let through."""
        log.configure(json_lines=settings.json_log)
        self.state.limits = _limits(settings, self.state.limits.ticket_key)
        self.replica.use_cookies(settings.cookies)
        self._refusals.interval = settings.refused_log_interval
        self._limit_rate(settings)
        for part in self._configured:
            part.reconfigure(settings)
        # What was answered under other limits is not answered again: new views, and no packet that is known.
        for view in list(self.state.zones.values()):
            self.state.publish(view.meta, view.image)

    def _limit_rate(self, settings: AnswererSettings) -> None:
        """One limiter for all listeners; it goes on counting where its rule stays."""
        old, rule = self._limiter, _rule(settings)
        if old is not None and old.rule == rule:
            old.interval = settings.refused_log_interval
        else:
            self._log_limited(math.inf)
            self._limiter = None if rule is None else RateLimiter(rule, settings.refused_log_interval)
        for listener in self._listeners:
            listener.limiter = self._limiter

    def _log_limited(self, now: float) -> None:
        if self._limiter is not None:
            for tally in self._limiter.due(now):
                log.event("rate-limited", prefix=tally.prefix, dropped=tally.dropped, slipped=tally.slipped)

    def _peer_heard(self, view: View, peer: Peer) -> None:
        now = time.monotonic()
        key = (view.zone_id, peer.address)
        if now - self._heard.get(key, -_HEARD_INTERVAL) < _HEARD_INTERVAL:
            return
        if len(self._heard) >= _HEARD_MOST:
            self._heard.clear()
        self._heard[key] = now
        self._keeper.tell(link.Heard(view.zone_id, peer.address))

    def _refused(self, refusal: Refusal, peer: Peer) -> None:
        self.counters[f"transfers-refused-{refusal.reason}"] += 1
        key = None if refusal.key is None else names.to_text(refusal.key)
        zone = names.to_text(refusal.zone)
        self._refusals.refused(
            zone, f"{peer.address}#{peer.port}", key, refusal.reason, refusal.ticket or "-", time.monotonic()
        )

    def _notified(self, notify: NotifyTaken | NotifyDenied, peer: Peer) -> None:
        if isinstance(notify, NotifyTaken):
            self._notifies.heard(notify, peer)
            return
        self.counters[f"notifies-denied-{notify.reason}"] += 1
        key = None if notify.key is None else names.to_text(notify.key)
        zone = names.to_text(notify.zone)
        self._refusals.denied(zone, f"{peer.address}#{peer.port}", key, notify.reason, time.monotonic())

    async def _watch_time(self) -> None:
        while True:
            there_is_more = self.replica.expire()
            self._refusals.summarise(time.monotonic())
            self._log_limited(time.monotonic())
            await asyncio.sleep(0 if there_is_more else _TICK)


def _adopt(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    os.set_inheritable(fd, False)
    return sock


def main() -> None:
    """The process, under the supervisor."""
    settings: AnswererSettings = child.read_settings()
    log.configure(json_lines=settings.json_log)
    with child.failing("answerer"):
        answerer = Answerer(settings)
        answerer.load()
        asyncio.run(answerer.run())
