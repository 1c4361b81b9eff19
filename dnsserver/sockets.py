"""The listening sockets: bound by the supervisor, handed down to the answerers."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import time

from dnsserver.errors import DnsServerError

# Asked of the kernel for each UDP socket, so that a burst waits instead of being lost; it may grant less.
_RECEIVE_BUFFER = 4 << 20
# A predecessor that was killed leaves its children some moments to notice.
_PATIENCE = 3.0


def bind(address: str, port: int, *, shared: bool) -> tuple[socket.socket, socket.socket]:
    """The UDP and the TCP socket of one address. ``shared``: several answerers have one each (SO_REUSEPORT).

    Raises DnsServerError that names the address and what to do.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return _bind_both(address, port, shared)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                raise DnsServerError(_explain(address, port, error)) from None
            time.sleep(0.1)


def _bind_both(address: str, port: int, shared: bool) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6
    udp = socket.socket(family, socket.SOCK_DGRAM)
    tcp = socket.socket(family, socket.SOCK_STREAM)
    try:
        for sock in (udp, tcp):
            sock.setblocking(False)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Of TCP this lets a restart pass connections in TIME_WAIT; a second listener is still refused.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        udp.bind((address, port))
        tcp.bind((address, udp.getsockname()[1]))
        tcp.listen(512)
    except OSError:
        udp.close()
        tcp.close()
        raise
    return udp, tcp


def _explain(address: str, port: int, error: OSError) -> str:
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"cannot listen on {place}: another program already does (`ss -lunp 'sport = :{port}'` shows which)"
        case errno.EACCES:
            return (
                f"cannot listen on {place}: ports below 1024 need CAP_NET_BIND_SERVICE"
                " (the systemd unit in etc/ gives it), or choose another port in [server] listen"
            )
        case errno.EADDRNOTAVAIL:
            return f"cannot listen on {place}: this machine does not have that address ([server] listen)"
    return f"cannot listen on {place}: {os.strerror(error.errno or 0)}"


def notify_systemd(state: str) -> None:
    """Tell the service manager (sd_notify(3)): ``READY=1``, ``RELOADING=1``, ``STOPPING=1``; silent without one."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
