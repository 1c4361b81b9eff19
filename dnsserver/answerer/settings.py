"""What an answering process is given by the composition root, as one value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswererSettings:
    """``*_fds``: listening sockets handed down; times in seconds; sizes in octets; names as in LIMITS."""

    udp_fds: tuple[int, ...]
    tcp_fds: tuple[int, ...]
    link_path: str
    database_url: str
    secret_file: str
    json_log: bool = False
    ixfr: bool = True
    cookies: bool = True
    udp_payload: int = 1232
    tsig_fudge: int = 300
    transfer_message: int = 16384
    ixfr_max_ratio: float | None = 1.0
    max_transfers_out: int = 10
    max_transfers_waiting: int = 100
    tcp_clients: int = 256
    tcp_clients_per_source: int = 16
    tcp_first_byte: float = 5.0
    tcp_message: float = 2.0
    tcp_idle: float = 10.0
    tcp_write_stall: float = 5.0
    rate_limit: int | None = None
    rate_limit_slip: int = 2
    rate_limit_prefixes: tuple[int, int] = (24, 56)
    refused_log_interval: float = 30.0
    cache_size: int = 64 << 20
