"""The composition root: from a configuration to running processes, and their supervision.

``dnsserver serve`` is one program: this process, which binds the sockets and watches; the keeper; and the answerers,
both forked from it. One that dies is started again; a child that loses this process ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dnsserver import child, log, sockets
from dnsserver.answerer.main import main as answer
from dnsserver.answerer.settings import AnswererSettings
from dnsserver.composition import edit_limits, refresh_limits, zone_defaults
from dnsserver.config import Config, load
from dnsserver.errors import Conflict, DnsServerError, StoreFailed
from dnsserver.forking import Forked
from dnsserver.keeper.main import main as keep
from dnsserver.keeper.settings import KeeperSettings

if TYPE_CHECKING:
    from dnsserver.store.database import Database

_STOP = 10.0
_BACKOFF_MOST = 10.0
# A child that ran this long before it died is started again at once.
_STEADY = 5.0
_SOCKET_PATH = 107


def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises DnsServerError when it cannot begin."""
    log.configure(json_lines=config.log.format == "json")
    _open_standard_files()
    _check_socket_paths(config)
    with contextlib.ExitStack() as stack:
        # One server on each SQLite file, and one behind each control socket.
        for file in filter(None, (config.database.sqlite_path, config.server.control_socket)):
            stack.callback(os.close, _lock(file))
        _prepare_database(config)
        _raise_file_limit()
        workers = _bind(config, stack)
        # What is imported is for good, and shared with all below as long as nobody writes there, as a collection would.
        gc.collect()
        gc.freeze()
        asyncio.run(_Supervisor(config, workers).run())


# Before the start


def _open_standard_files() -> None:
    """Where the program was started without them, no socket takes their numbers: its children need these."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _lock(file: Path) -> int:
    """A lock beside a file, held as long as the descriptor is open. Raises Conflict when another server holds it."""
    path = file.with_name(file.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreFailed(f"cannot make {path}: {error.strerror}; check the folder and its permissions") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Conflict(f"another server already runs on {file} (it holds {path})") from None
    return descriptor


def _prepare_database(config: Config) -> None:
    from dnsserver.store.database import Database
    from dnsserver.store.secretbox import SecretBox

    secret = SecretBox.load(config.server.secret_file, create=True)
    database = Database.open(config.database.url, create=True, secret=secret, migrate=config.database.migrate)
    with contextlib.closing(database):
        _tell_unreadable_keys(database)


def _tell_unreadable_keys(database: Database) -> None:
    """Where the secret file was lost, a new one was made just now, silently: whoever looks for the reason finds it."""
    from dnsserver.store import keys
    from dnsserver.zone import names

    with database.read() as conn:
        unreadable = [names.to_text(key.name) for key in keys.all_keys(conn) if key.secret is None]
    if unreadable:
        msg = "they were stored under another secret-file: bring it back, or import them again"
        log.event("keys-unreadable", names=",".join(unreadable), msg=msg)


def _raise_file_limit() -> None:
    """Each TCP client is a file; the soft limit is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def link_path(config: Config) -> Path:
    """The keeper's socket for its answerers, beside the control socket."""
    control = config.server.control_socket
    return control.with_name(control.stem + "-link.sock")


def _check_socket_paths(config: Config) -> None:
    for path in (config.server.control_socket, link_path(config)):
        if len(os.fsencode(path)) > _SOCKET_PATH:
            raise DnsServerError(
                f"{path}: too long for a Unix socket ({_SOCKET_PATH} octets); set [server] control-socket"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DnsServerError(
                f"cannot make {path.parent} for the control socket: {error.strerror}; set [server] control-socket"
            ) from None


Listening = tuple[list[socket.socket], list[socket.socket]]


def _bind(config: Config, stack: contextlib.ExitStack) -> list[Listening]:
    """For each answerer its UDP and TCP sockets."""
    count = config.server.workers
    workers: list[Listening] = []
    for _ in range(count):
        pairs = [sockets.bind(address.host, address.port, shared=count > 1) for address in config.server.listen]
        for pair in pairs:
            for sock in pair:
                stack.callback(sock.close)
        workers.append(([udp for udp, _ in pairs], [tcp for _, tcp in pairs]))
    return workers


# What each process is given


def answerer_settings(config: Config, listening: Listening) -> AnswererSettings:
    limits = config.limits
    return AnswererSettings(
        udp_fds=tuple(sock.fileno() for sock in listening[0]),
        tcp_fds=tuple(sock.fileno() for sock in listening[1]),
        link_path=str(link_path(config)),
        database_url=config.database.url,
        secret_file=str(config.server.secret_file),
        json_log=config.log.format == "json",
        ixfr=config.server.ixfr,
        cookies=limits.cookies,
        udp_payload=limits.udp_payload,
        tsig_fudge=int(limits.tsig_fudge),
        transfer_message=limits.transfer_message,
        ixfr_max_ratio=limits.ixfr_max_ratio,
        max_transfers_out=limits.max_transfers_out,
        max_transfers_waiting=limits.max_transfers_waiting,
        tcp_clients=limits.tcp_clients,
        tcp_clients_per_source=limits.tcp_clients_per_source,
        tcp_first_byte=limits.tcp_first_byte,
        tcp_message=limits.tcp_message,
        tcp_idle=limits.tcp_idle,
        tcp_write_stall=limits.tcp_write_stall,
        rate_limit=limits.rate_limit,
        rate_limit_slip=limits.rate_limit_slip,
        rate_limit_prefixes=limits.rate_limit_prefixes,
        refused_log_interval=limits.refused_log_interval,
    )


def keeper_settings(config: Config) -> KeeperSettings:
    server, limits = config.server, config.limits
    return KeeperSettings(
        control_path=str(server.control_socket),
        link_path=str(link_path(config)),
        database_url=config.database.url,
        secret_file=str(server.secret_file),
        server_name=server.own_name(),
        workers=server.workers,
        json_log=config.log.format == "json",
        listen=tuple(address.host for address in server.listen),
        outbound_addresses=server.outbound_address,
        notify=server.notify,
        notify_interval=limits.notify_interval,
        notifies_per_second=limits.notifies_per_second,
        limits=edit_limits(config),
        defaults=zone_defaults(config),
        ixfr=server.ixfr,
        refresh=refresh_limits(config),
        soa_checks_per_second=limits.soa_checks_per_second,
        max_transfers_in=limits.max_transfers_in,
        max_transfers_in_per_primary=limits.max_transfers_in_per_primary,
        transfer_in_time=limits.transfer_in_time,
        transfer_in_idle=limits.transfer_in_idle,
        transfer_in_rate=limits.transfer_in_rate,
        tsig_fudge=int(limits.tsig_fudge),
    )


# While it runs


@dataclass(slots=True)
class _Child:
    """One supervised process; ``settings`` is asked for at each start."""

    name: str
    work: Callable[[], None]
    settings: Callable[[], object]
    fds: tuple[int, ...] = ()
    process: Forked | None = None

    async def start(self) -> Forked:
        self.process = await Forked.start(f"dns-{self.name}", self.work, self.fds)
        self.send()
        return self.process

    def send(self) -> None:
        """Hand over the settings: the first ones, or those of a reload."""
        self.tell(self.settings())

    def tell(self, value: object) -> None:
        if self.process is not None:
            self.process.stdin.write(child.frame(value))


class _Supervisor:
    def __init__(self, config: Config, workers: list[Listening]) -> None:
        self._config = config
        self._ending = asyncio.Event()
        self._keeper = _Child("keeper", keep, lambda: keeper_settings(self._config))
        self._answerers = [self._answerer(listening) for listening in workers]
        self._unready = 1 + len(workers)

    def _answerer(self, listening: Listening) -> _Child:
        fds = tuple(sock.fileno() for part in listening for sock in part)
        return _Child("answerer", answer, lambda: answerer_settings(self._config, listening), fds)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        watching = [asyncio.create_task(self._watch(one)) for one in (self._keeper, *self._answerers)]
        ending = asyncio.create_task(self._ending.wait())
        # Who watches never ends by itself: where one has a fault, the whole server ends with it, and is seen to.
        await asyncio.wait([ending, *watching], return_when=asyncio.FIRST_COMPLETED)
        sockets.notify_systemd("STOPPING=1")
        log.event("server-stopping")
        for task in (ending, *watching):
            task.cancel()
        faults = await asyncio.gather(*watching, return_exceptions=True)
        # The answerers first: what is in flight may need the keeper.
        for group in (self._answerers, [self._keeper]):
            await asyncio.gather(*(_stop(one) for one in group))
        for fault in faults:
            if isinstance(fault, Exception):
                raise fault

    async def _watch(self, one: _Child) -> None:
        """Keep one process running: at once the first time, then with growing pauses."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        first = True
        while True:
            begun = loop.time()
            try:
                process = await one.start()
            except OSError as error:  # no memory, no process to be had: later there may be
                log.event("process-failed", process=one.name, msg=f"it cannot be started: {error}")
            else:
                while line := await process.stdout.readline():
                    self._told(line.decode().strip(), first)
                    first = False
                status = await process.wait()
                log.event("process-ended", process=one.name, status=status, msg="starting it again")
            if loop.time() - begun > _STEADY:
                pause = 0.0
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, 0.25), _BACKOFF_MOST)

    def _told(self, line: str, first: bool) -> None:
        if line == "reload":
            self._reload()
        elif line == "ready" and first:
            self._unready -= 1
            if self._unready == 0:
                self._ready()

    def _ready(self) -> None:
        for address in self._config.server.listen:
            log.event("listening", address=str(address))
        log.event("server-ready", pid=os.getpid(), listen=", ".join(map(str, self._config.server.listen)))
        sockets.notify_systemd("READY=1")

    def _reload(self) -> None:
        """All or nothing: a file with an error, or one that needs a restart, changes nothing."""
        sockets.notify_systemd("RELOADING=1")
        try:
            fresh = load(self._config.file)
            if changed := _needs_restart(self._config, fresh):
                raise Conflict(f"{', '.join(changed)} changed: restart the server to take the new configuration")
        except DnsServerError as error:
            message = "; ".join([error.message, *map(str, error.problems)])
            log.event("reload-failed", msg=message)
            self._keeper.tell(child.ReloadFailed(message))
        else:
            self._config = fresh
            log.configure(json_lines=fresh.log.format == "json")
            for one in (self._keeper, *self._answerers):
                one.send()
            log.event("reloaded", file=str(fresh.file))
        sockets.notify_systemd("READY=1")


def _needs_restart(old: Config, new: Config) -> list[str]:
    pairs = {
        "[server] listen": (old.server.listen, new.server.listen),
        "[server] workers": (old.server.workers, new.server.workers),
        "[server] control-socket": (old.server.control_socket, new.server.control_socket),
        "[server] secret-file": (old.server.secret_file, new.server.secret_file),
        "[database]": (old.database, new.database),
    }
    return [name for name, (before, after) in pairs.items() if before != after]


async def _stop(one: _Child) -> None:
    process = one.process
    if process is None or process.status is not None:
        return
    process.send(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP):
            await process.wait()
    except TimeoutError:
        log.event("process-killed", process=one.name, msg=f"it did not end within {_STOP:.0f} s")
        process.send(signal.SIGKILL)
        await process.wait()
