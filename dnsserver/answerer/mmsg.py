"""Batches of datagrams: recvmmsg and sendmmsg over buffers that are made once (Linux).

A slot is one datagram: what arrives in it is overwritten by its answer, so that the peer's address, and the local
address that the query was sent to (PKTINFO), are where sendmmsg wants them, untouched. Header blocks are put back
to their first state by one copy before each receive.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import cffi

from dnsserver.protocol.ratelimit import Cut

BATCH = 64
# A query is far below this; what is longer is cut by the kernel, and is malformed then.
SLOT = 4096
_ADDRESS = 28
CONTROL = 64

_CDEF = """
struct iovec { void *iov_base; size_t iov_len; };
struct msghdr { void *msg_name; uint32_t msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
                void *msg_control; size_t msg_controllen; int msg_flags; };
struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
int recvmmsg(int, struct mmsghdr *, unsigned int, int, void *);
int sendmmsg(int, struct mmsghdr *, unsigned int, int);
"""


class MmsgUnavailable(Exception):
    """This platform has no recvmmsg and sendmmsg."""


def _library() -> tuple[Any, Any]:
    ffi = cffi.FFI()
    ffi.cdef(_CDEF)
    try:
        library: Any = ffi.dlopen(None)
        if not (library.recvmmsg and library.sendmmsg):
            raise MmsgUnavailable("recvmmsg, sendmmsg")
    except (OSError, AttributeError) as error:
        raise MmsgUnavailable(str(error)) from None
    return ffi, library


class Batch:
    """The slots of one socket.

    ``receive`` says how many datagrams stand in the slots; slot ``i`` is ``data[i * SLOT :]``, its length
    ``lengths[i]``. ``answer_lengths[i]`` is set to the length of the answer that stands there then; ``send`` sends.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._ffi, self._library = ffi, _ = _library()
        self._fd = sock.fileno()
        self._is_ipv6 = sock.family == socket.AF_INET6
        self.wildcard = ask_for_local_address(sock)
        self.buffer = bytearray(BATCH * SLOT)
        self.data = memoryview(self.buffer)
        self._base = ffi.from_buffer(self.buffer)
        self._addresses = bytearray(BATCH * _ADDRESS)
        self._address_base = ffi.from_buffer(self._addresses)
        self._control = ffi.new("char[]", BATCH * CONTROL)
        self._iovecs = ffi.new("struct iovec[]", BATCH)
        self._headers = ffi.new("struct mmsghdr[]", BATCH)
        for i in range(BATCH):
            self._iovecs[i].iov_base = self._base + i * SLOT
            self._iovecs[i].iov_len = SLOT
            header = self._headers[i].msg_hdr
            header.msg_name = self._address_base + i * _ADDRESS
            header.msg_namelen = _ADDRESS
            header.msg_iov = self._iovecs + i
            header.msg_iovlen = 1
            if self.wildcard:
                header.msg_control = self._control + i * CONTROL
                header.msg_controllen = CONTROL
        self._header_bytes = memoryview(ffi.buffer(self._headers)).cast("B")
        self._iovec_bytes = memoryview(ffi.buffer(self._iovecs)).cast("B")
        self._fresh_headers = bytes(self._header_bytes)
        self._fresh_iovecs = bytes(self._iovec_bytes)
        stride = ffi.sizeof("struct mmsghdr")
        self.lengths = self._header_bytes.cast("I")[ffi.offsetof("struct mmsghdr", "msg_len") // 4 :: stride // 4]
        iovec_stride = ffi.sizeof("struct iovec")
        self.answer_lengths = self._iovec_bytes.cast("L")[
            ffi.offsetof("struct iovec", "iov_len") // 8 :: iovec_stride // 8
        ]
        self.used = 0

    def receive(self) -> int:
        """Fill the slots; how many were filled, 0 when nothing waits. Raises OSError."""
        if self.used:
            self._header_bytes[:] = self._fresh_headers
            self._iovec_bytes[:] = self._fresh_iovecs
        count: int = self._library.recvmmsg(self._fd, self._headers, BATCH, socket.MSG_DONTWAIT, self._ffi.NULL)
        if count < 0:
            code = self._ffi.errno
            self.used = 1
            # ECONNREFUSED and the like: an earlier answer met nobody; the next receive goes on.
            if code in (errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
                return 0
            raise OSError(code, os.strerror(code))
        self.used = count
        return count

    def send(self, first: int, count: int) -> int:
        """Send ``count`` slots from ``first`` on; how many could not be sent."""
        failed = 0
        while count > 0:
            sent: int = self._library.sendmmsg(self._fd, self._headers + first, count, socket.MSG_DONTWAIT)
            if sent < 0:
                # The first of them cannot go (no buffer, no route): the next ones may.
                failed, sent = failed + 1, 1
            first, count = first + sent, count - sent
        return failed

    def address(self, slot: int) -> tuple[str, int]:
        """The peer of a slot: address text and port."""
        return _address(self._addresses, slot * _ADDRESS)

    def source(self, slot: int) -> bytes:
        """The address of a slot's peer in network order."""
        at = slot * _ADDRESS + (8 if self._is_ipv6 else 4)
        return bytes(self._addresses[at : at + (16 if self._is_ipv6 else 4)])

    def prefixes(self, count: int, cuts: tuple[Cut, Cut]) -> Iterable[bytes]:
        """The prefix of each peer's address, as many as there are slots in use; ``cuts``: of IPv4 and of IPv6."""
        cut = cuts[self._is_ipv6]
        skipped = 8 if self._is_ipv6 else 4
        found = _packed(skipped, cut.octets, count).unpack_from(self._addresses)
        return found if cut.mask is None else map(cut.masked, found)

    def reply_path(self, slot: int) -> tuple[tuple[str, int], list[tuple[int, int, bytes]]]:
        """What ``socket.sendmsg`` needs to answer this slot later: its address, and its control messages."""
        if not self.wildcard:
            return self.address(slot), []
        length = self._headers[slot].msg_hdr.msg_controllen
        control = bytes(self._ffi.buffer(self._control + slot * CONTROL, length))
        if len(control) <= 16:
            return self.address(slot), []
        size, level, kind = struct.unpack_from("@Nii", control)
        return self.address(slot), [(level, kind, control[16:size])]


@lru_cache(maxsize=2 * BATCH)
def _packed(skipped: int, octets: int, count: int) -> struct.Struct:
    """The first octets of so many addresses, each after what is skipped in its sockaddr."""
    return struct.Struct(f"{skipped}x{octets}s{_ADDRESS - skipped - octets}x" * count)


def _address(raw: bytearray, at: int) -> tuple[str, int]:
    (family,) = struct.unpack_from("@H", raw, at)
    (port,) = struct.unpack_from(">H", raw, at + 2)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[at + 4 : at + 8]), port
    return socket.inet_ntop(socket.AF_INET6, raw[at + 8 : at + 24]), port


_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49


def ask_for_local_address(sock: socket.socket) -> bool:
    """On a socket of all addresses, have the kernel say which one a query came to: the answer leaves from there."""
    host = sock.getsockname()[0]
    if host == "0.0.0.0":
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        return True
    if host == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        return True
    return False
