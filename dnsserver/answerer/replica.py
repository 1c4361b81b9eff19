"""An answerer's copy of the zones: kept up by the keeper's messages, published as views.

No socket and no clock: a message in, the answers to it out. Between two packets only, so an answer sees a zone
either before or after a change.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import cast

from dnsserver import link, log
from dnsserver.answerer.expiry import Expiry
from dnsserver.clock import running_time
from dnsserver.protocol import notify_in
from dnsserver.protocol.cookies import CookieJar, CookieSecrets
from dnsserver.protocol.server import ServerState, View, ZoneMeta
from dnsserver.protocol.tsig import Key
from dnsserver.zone import names
from dnsserver.zone.access import AccessLists, Role
from dnsserver.zone.changeset import sides
from dnsserver.zone.image import Builder, DoesNotApply, Image
from dnsserver.zone.pages import Page
from dnsserver.zone.patching import Patching
from dnsserver.zone.records import unpack
from dnsserver.zone.rrtypes import DNAME, NS
from dnsserver.zone.settings import ZoneSettings

# Above this many records the collector's oldest generation is moved out of its sight (DESIGN, The image of a zone).
_FREEZE = 10_000
# Octets of a change whose names are told apart: it takes a fraction of a millisecond.
_FEW_OCTETS = 8192
# Zones that expire between two packets: each takes some ten microseconds.
_AT_ONCE = 100


# Most zones have the settings of others.
_settings = lru_cache(maxsize=4096)(ZoneSettings.from_json)


# Work in slices of some 0.1 ms; what it returns is to be told to the keeper.
Slices = Generator[None, None, list[link.Message]]


def at_once(work: Slices) -> list[link.Message]:
    """All slices of it."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast("list[link.Message]", end.value)


class Replica:
    """What an answerer serves, and how far it follows the feed; ``clock``: of the zones' expiry, monotonic."""

    def __init__(
        self,
        state: ServerState,
        *,
        cookies: bool,
        counters: Counter[str] | None = None,
        clock: Callable[[], float] = running_time,
    ) -> None:
        self.state = state
        self._counters = Counter[str]() if counters is None else counters
        self._expiry = Expiry(clock)
        self._due: list[int] = []
        state.left = self._expiry.left
        self.mark = link.Mark(0, 0)
        self._cookies = cookies
        self._cookie_secrets: tuple[bytes, ...] = ()
        # The apex of each zone; its view is the state's, which renews it now and then.
        self._apexes: dict[int, bytes] = {}
        # Zones asked for and not here yet; until then what is served of them stays.
        self._awaited: dict[int, None] = {}
        self._doubted: set[int] = set()
        self._applied_when_here: int | None = None
        self._coming: tuple[link.ZoneInfo, Builder] | None = None
        # What is left of contents that are not served any more: all at once would take a tenth of a second a million.
        self._leaving: list[object] = []

    # At the start

    def load(self, snapshot: Iterable[link.Message]) -> None:
        """Take everything from ``replication.snapshot``, before the first answer."""
        # Nothing of what comes is garbage: to look through 100,000 zones for it takes a tenth of all this.
        gc.collect()
        gc.disable()
        for message in snapshot:
            if isinstance(message, link.ZonePage):
                assert self._coming is not None
                self._coming[1].add(Page.of(message.fields))
                continue
            self._finish_loading()
            if isinstance(message, link.Mark):
                self.mark = message
            elif isinstance(message, link.ZoneInfo):
                self._coming = (message, Builder(message.name.lower(), message.version))
            elif isinstance(message, link.Globals):
                self._take_globals(message)
            elif isinstance(message, link.Deadlines):
                self._expiry.set(message.entries)
        self._finish_loading()
        gc.freeze()
        gc.enable()

    def _finish_loading(self) -> None:
        if self._coming is not None:
            info, builder = self._coming
            self._coming = None
            if info.version:
                self._publish(self._meta(info), builder.finish())
            else:
                self._publish_empty(info)

    # While it runs

    def hello(self, pid: int) -> list[link.Message]:
        """What a new connection to the keeper begins with."""
        self._give_up()
        zones = tuple(
            (view.zone_id, view.image.version, view.image.serial) for view in self.state.zones.values() if view.image
        )
        hello = link.Hello(link.PROTOCOL, pid, self.mark.seq, self.mark.tag, zones)
        return [hello, *(link.NeedZone(zone_id) for zone_id in self._awaited)]

    def doubt(self) -> None:
        """After a fault: whatever its version, each zone is read anew. What is served stays until it is here."""
        self.mark = link.Mark(0, 0)
        self._awaited.clear()
        self._applied_when_here = None
        self._doubted = set(self._apexes)

    def take(self, message: link.Message) -> list[link.Message]:
        """One message of the keeper; what to tell it."""
        match message:
            case link.Patch():
                return at_once(self._patch(message))
            case link.ZonePage(fields):
                if self._coming is not None:
                    self._coming[1].add(Page.of(fields))
                return []
            case link.ZoneBegin(info, version):
                zone = link.ZoneInfo(*info)  # type: ignore[arg-type]
                # Nothing of what comes is garbage; to look through a million records for it takes 15 ms and more.
                gc.disable()
                self._coming = (zone, Builder(zone.name.lower(), version))
                return []
            case link.ZoneEnd():
                return self._end()
            case link.ZoneInfo():
                return self._info(message)
            case link.ZoneGone(zone_id):
                return [self._drop(zone_id), *self._here(zone_id)]
            case link.ZonesAre(zone_ids):
                # Its mark is gone from the feed. The database may be that of a backup, where a version says nothing.
                self._doubted = set(zone_ids) & self._apexes.keys()
                return [self._drop(zone_id) for zone_id in self._apexes.keys() - set(zone_ids)]
            case link.Globals():
                self._take_globals(message)
                return []
            case link.Deadlines(entries):
                self._expiry.set(entries)
                for zone_id, _ in entries:
                    self._judge_expiry(zone_id)
                return []
            case link.Mark(seq):
                self.mark = message
                if not self._awaited:
                    return [link.Applied(seq)]
                self._applied_when_here = seq
                return []
            case _:
                log.event("link-failed", msg=f"the keeper sent {type(message).__name__}")
                return []

    def taking(self, message: link.Message) -> Slices:
        """As ``take``, in slices between which packets are answered; nothing else is taken meanwhile."""
        if isinstance(message, link.Patch):
            return (yield from self._patch(message))
        return self.take(message)

    def _patch(self, patch: link.Patch) -> Slices:
        view = self._view(patch.zone_id)
        if patch.zone_id in self._awaited:
            return []
        if view is None or view.image is None:
            return self._ask(patch.zone_id)
        image = view.image
        if patch.to_version <= image.version:
            return []
        if patch.from_version != image.version:
            return self._ask(patch.zone_id)
        patching = Patching(image, *map(unpack, sides(patch.changeset)))
        try:
            yield from patching.prepare()
        except DoesNotApply as error:
            log.event("patch-failed", zone=names.to_text(view.apex), version=patch.to_version, msg=str(error))
            return self._ask(patch.zone_id)
        serial = image.serial
        patching.publish(patch.to_version)
        self._remember(patch, (serial, image.serial))
        # What the zone goes by may be another by now: it may have expired meanwhile.
        view = self._view(patch.zone_id) or view
        return [self._publish(view.meta, image, _touched(patch.changeset))]

    def _remember(self, patch: link.Patch, serials: tuple[int, int]) -> None:
        """For IXFR. A serial that came twice may mean either version: of those the journal alone knows."""
        recent = self.state.recent
        if patch.is_unique:
            recent.put(patch.zone_id, (patch.from_version, patch.to_version), serials, patch.changeset)
        else:
            recent.forget(patch.zone_id)

    def _info(self, info: link.ZoneInfo) -> list[link.Message]:
        view = self._view(info.zone_id)
        image = view.image if view is not None else None
        if image is not None:
            serving = self._publish(self._meta(info), image)
            if image.version >= info.version and info.zone_id not in self._doubted:
                return [serving]
        elif view is not None or not info.version:
            self._publish_empty(info)
        # Version 0 is a secondary zone without contents: there is nothing to ask for.
        return self._ask(info.zone_id) if info.version else self._here(info.zone_id)

    def _end(self) -> list[link.Message]:
        if self._coming is None:
            return []
        info, builder = self._coming
        self._coming = None
        image = builder.finish()
        self.state.recent.forget(info.zone_id)
        serving = self._publish(self._meta(info), image)
        if image.record_count > _FREEZE:
            gc.freeze()
        gc.enable()
        return [serving, *self._here(info.zone_id)]

    def _give_up(self) -> None:
        """What has come of a zone will not become whole."""
        if self._coming is not None:
            self._leaving += self._coming[1].parts()
            self._coming = None
        gc.enable()

    def _ask(self, zone_id: int) -> list[link.Message]:
        if zone_id in self._awaited:
            return []
        self._awaited[zone_id] = None
        return [link.NeedZone(zone_id)]

    def _here(self, zone_id: int) -> list[link.Message]:
        """The zone is not awaited any more; with the last one, the mark that stood back for it is reached."""
        self._awaited.pop(zone_id, None)
        self._doubted.discard(zone_id)
        if self._awaited or self._applied_when_here is None:
            return []
        seq, self._applied_when_here = self._applied_when_here, None
        return [link.Applied(seq)]

    def _view(self, zone_id: int) -> View | None:
        """What is served of a zone; None where it is not here, or another one stands under its name by now."""
        view = self.state.zones.get(self._apexes.get(zone_id, b""))
        return view if view is not None and view.zone_id == zone_id else None

    def _meta(self, info: link.ZoneInfo) -> ZoneMeta:
        settings = _settings(info.settings)
        role = Role(info.role)
        is_secondary = role is Role.SECONDARY
        return ZoneMeta(
            info.zone_id, info.name, role,
            suspended=info.suspended, expired=is_secondary and self._expiry.is_over(info.zone_id), ixfr=settings.ixfr,
            access=tuple(link.entry_of(parts) for parts in info.access),
            notify_from=notify_in.senders(settings) if is_secondary else (),
        )  # fmt: skip

    def _publish_empty(self, info: link.ZoneInfo) -> None:
        """A secondary zone that was never transferred is here, but nothing of it can be answered."""
        self._apexes[info.zone_id] = self.state.publish(self._meta(info), None).apex

    def expire(self) -> bool:
        """Zones whose time is over are answered no more (R11), and what is no longer served is let go. Of either a
        part that takes no time to speak of; whether there is more.
        """
        due = self._due + self._expiry.due()
        self._due = due[_AT_ONCE:]
        for zone_id in due[:_AT_ONCE]:
            self._judge_expiry(zone_id)
        del self._leaving[-1:]
        return bool(self._due or self._leaving)

    def _judge_expiry(self, zone_id: int) -> None:
        view = self._view(zone_id)
        if view is None or view.meta.role is not Role.SECONDARY:
            return
        is_over = self._expiry.is_over(zone_id)
        if is_over is not view.meta.expired:
            self.state.publish(replace(view.meta, expired=is_over), view.image)
            self._counters["zones-expired" if is_over else "zones-recovered"] += 1

    def _let_go(self, image: Image | None) -> None:
        if image is not None and image.record_count > _FREEZE:
            self._leaving += image.parts()

    def _publish(self, meta: ZoneMeta, image: Image, touched: set[bytes] | None = None) -> link.Serving:
        old = self.state.zones.get(meta.name.lower())
        if old is not None and old.image is not image:
            self._let_go(old.image)
        self._apexes[meta.zone_id] = self.state.publish(meta, image, touched).apex
        return link.Serving(meta.zone_id, image.version, image.serial)

    def _drop(self, zone_id: int) -> link.Serving:
        if (view := self._view(zone_id)) is not None:
            self._let_go(view.image)
            self.state.withdraw(view.apex)
        if self._coming is not None and self._coming[0].zone_id == zone_id:
            self._give_up()
        self._apexes.pop(zone_id, None)
        self._expiry.forget(zone_id)
        self.state.recent.forget(zone_id)
        return link.Serving(zone_id, link.GONE, 0)

    def _take_globals(self, told: link.Globals) -> None:
        state = self.state
        state.access = AccessLists(
            tuple(link.entry_of(parts) for parts in told.global_access),
            tuple(link.entry_of(parts) for parts in told.super_slaves),
        )
        state.keys = {name: Key(name, algorithm, secret, weak) for name, algorithm, secret, weak in told.keys}
        state.limits = replace(state.limits, ticket_key=told.ticket_key)
        self._cookie_secrets = told.cookie_secrets
        self.use_cookies(self._cookies)

    def use_cookies(self, wanted: bool) -> None:
        """Whether DNS cookies are answered; never before there is a secret."""
        self._cookies = wanted
        self.state.cookies = None
        if wanted and self._cookie_secrets:
            current, *previous = self._cookie_secrets
            self.state.cookies = CookieJar(CookieSecrets(current, previous[0] if previous else None))


def _touched(changeset: bytes) -> set[bytes] | None:
    """The names of a small change that says nothing of any other name; None: of others, it may."""
    if len(changeset) > _FEW_OCTETS:
        return None
    records = [record for side in sides(changeset) for record in unpack(side)]
    if any(record.type in (NS, DNAME) for record in records):
        return None
    return {record.owner.lower() for record in records}
