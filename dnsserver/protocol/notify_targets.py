"""The targets of a zone's NOTIFYs (R8), of names that were resolved elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address

from dnsserver.zone.access import AccessEntry, AccessLists, Role, match_key_for, plain_address
from dnsserver.zone.settings import Target, ZoneSettings

_STANDARD: Mapping[AccessEntry, int] = {}


def targets_of(
    *,
    role: Role,
    settings: ZoneSettings,
    name_servers: Mapping[bytes, Iterable[str]],
    primary_name: bytes,
    zone_entries: tuple[AccessEntry, ...],
    lists: AccessLists,
    own: Collection[str],
    super_slave_ports: Mapping[AccessEntry, int] = _STANDARD,
) -> tuple[Target, ...]:
    """Who is sent NOTIFY: explicit targets, the NS set, super-slaves; each (address, port) once.

    ``name_servers``: the addresses of each name of the NS set; ``primary_name``: the SOA's MNAME; both lower-cased.
    ``own``: this server's own addresses, which of the NS set are left out; ``super_slave_ports``: where it is not 53.
    """
    if not settings.notify:
        return ()
    found = list(settings.also_notify)
    for name, addresses in name_servers.items():
        # The MNAME is the primary itself (RFC 1996, 2.1), unless the operator says otherwise: a hidden primary.
        if name != primary_name or settings.notify_to_soa:
            plain = (str(plain_address(ip_address(address))) for address in addresses)
            found += [Target(address) for address in plain if address not in own]
    if role is Role.PRIMARY:
        found += [
            Target(str(plain_address(entry.address)), super_slave_ports.get(entry, 53), entry.key)
            for entry in lists.super_slaves
            if entry.address is not None
        ]
    layers = (zone_entries, lists.super_slaves if role is Role.PRIMARY else (), lists.global_)
    chosen: dict[tuple[str, int], Target] = {}
    for target in found:
        place = (target.address, target.port)
        if place not in chosen:
            key = target.key if target.key is not None else match_key_for(ip_address(target.address), *layers)
            chosen[place] = replace(target, key=key)
    return tuple(chosen.values())
