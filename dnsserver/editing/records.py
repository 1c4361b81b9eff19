"""The record commands: list, add, set, delete."""

from __future__ import annotations

from typing import Any

from dnsserver.editing import inputs, shapes
from dnsserver.editing.commit import edit_zone
from dnsserver.editing.context import Args, Context
from dnsserver.editing.edit import ZoneEdit
from dnsserver.errors import UsageError
from dnsserver.store import zones
from dnsserver.zone import names, rdata
from dnsserver.zone.rdata import type_to_text


def list_records(ctx: Context, args: Args) -> dict[str, Any]:
    """record.list {zone, name?, type?}: the records in canonical order."""
    args.known("zone", "name", "type")
    apex = inputs.zone_name(args.text("zone"))
    name, kind = args.optional_text("name"), args.optional_text("type")
    owner = inputs.owner_name(name, apex).lower() if name else None
    rtype = inputs.record_type(kind) if kind and kind.upper() != "ANY" else None
    with ctx.db.read() as conn:
        zone = zones.get(conn, apex)
        found = [
            {
                "name": names.to_text(record.owner),
                "type": type_to_text(record.type),
                "ttl": record.ttl,
                "rdata": rdata.to_text(record.type, record.rdata),
            }
            for record in zones.records(conn, zone, owner)
            if rtype is None or record.type == rtype
        ]
    return {
        "version": 1,
        "zone": names.to_text(apex),
        "serial": shapes.serial(zone),
        "zone_version": zone.version,
        "records": found,
    }


def add(ctx: Context, args: Args) -> dict[str, Any]:
    """record.add {zone, name, type, rdata: […], ttl?}: what is there already changes nothing."""
    args.known("zone", "name", "type", "rdata", "ttl")
    apex, owner, rtype, wires = _rrset(args)
    ttl = inputs.ttl(args.values.get("ttl"))

    def edit(draft: ZoneEdit) -> None:
        for wire in wires:
            draft.add(owner, rtype, ttl, wire)

    return edit_zone(ctx, apex, edit, _comment("add", owner, rtype))


def set_(ctx: Context, args: Args) -> dict[str, Any]:
    """record.set {zone, name, type, rdata: […], ttl?, force?}: replace the RRset; ``force`` a serial backwards."""
    args.known("zone", "name", "type", "rdata", "ttl", "force")
    apex, owner, rtype, wires = _rrset(args)
    ttl = inputs.ttl(args.values.get("ttl"))
    force = args.flag("force")
    return edit_zone(
        ctx,
        apex,
        lambda draft: draft.set_rrset(owner, rtype, ttl, wires, force=force),
        _comment("set", owner, rtype),
    )


def delete(ctx: Context, args: Args) -> dict[str, Any]:
    """record.delete {zone, name, type?, rdata?: […]}: a whole name, an RRset, or single records."""
    args.known("zone", "name", "type", "rdata")
    apex = inputs.zone_name(args.text("zone"))
    owner = inputs.owner_name(args.text("name"), apex)
    kind = args.optional_text("type")
    rtype = inputs.record_type(kind) if kind and kind.upper() != "ANY" else None
    texts = args.texts("rdata")
    if texts and rtype is None:
        raise UsageError("a record to delete needs its type before its rdata")
    wires: list[bytes | None] = [None]
    if texts and rtype is not None:
        wires = list(inputs.rdata_list(rtype, texts, apex))

    def edit(draft: ZoneEdit) -> None:
        for wire in wires:
            draft.delete(owner, rtype, wire)

    return edit_zone(ctx, apex, edit, _comment("delete", owner, rtype))


def _rrset(args: Args) -> tuple[bytes, bytes, int, list[bytes]]:
    """Zone, owner, type and the records' rdata, at least one."""
    apex = inputs.zone_name(args.text("zone"))
    owner = inputs.owner_name(args.text("name"), apex)
    rtype = inputs.record_type(args.text("type"))
    texts = args.texts("rdata")
    if not texts:
        raise UsageError(f"{args.operation} needs at least one rdata")
    return apex, owner, rtype, inputs.rdata_list(rtype, texts, apex)


def _comment(action: str, owner: bytes, rtype: int | None) -> str:
    return f"record {action} {names.to_text(owner)}" + (f" {type_to_text(rtype)}" if rtype is not None else "")
