"""The operations by name: the keeper runs them for the control socket, the CLI where no server runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dnsserver.editing import (
    access,
    batch,
    imports,
    keys,
    records,
    reports,
    secondaries,
    settings,
    status,
    versions,
    zones,
)
from dnsserver.editing.context import Args, Context
from dnsserver.errors import UsageError
from dnsserver.zone.whole import Whole

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """``writes``: whether it may change the database."""

    name: str
    run: Callable[[Context, Args], tuple[Result, bytes]]
    writes: bool


def _plain(run: Callable[[Context, Args], Result]) -> Callable[[Context, Args], tuple[Result, bytes]]:
    return lambda ctx, args: (run(ctx, args), b"")


_READING: dict[str, Callable[[Context, Args], Result]] = {
    "zone.list": reports.list_,
    "zone.show": reports.show,
    "zone.status": status.status,
    "zone.check": reports.check,
    "zone.diff": versions.diff,
    "zone.history": versions.history,
    "zone.notify": zones.notify,
    "zone.refresh": secondaries.need_server,
    "zone.retransfer": secondaries.need_server,
    "record.list": records.list_records,
    "key.list": keys.list_,
    "key.show": keys.show,
    "access.list": access.list_,
    "access.explain": access.explain,
    "history": reports.history,
    "events": status.events,
}
_WRITING: dict[str, Callable[[Context, Args], Result]] = {
    "zone.create": zones.create,
    "zone.convert": secondaries.convert,
    "zone.rollback": versions.rollback,
    "zone.suspend": zones.suspend,
    "zone.resume": zones.resume,
    "zone.delete": zones.delete,
    "zone.restore": zones.restore,
    "zone.set": settings.set_,
    "record.add": records.add,
    "record.set": records.set_,
    "record.delete": records.delete,
    "record.apply": batch.apply,
    "key.generate": keys.generate,
    "key.import": keys.import_,
    "key.delete": keys.delete,
    "access.allow": access.allow,
    "access.revoke": access.revoke,
}

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        *(Operation(name, _plain(run), False) for name, run in _READING.items()),
        *(Operation(name, _plain(run), True) for name, run in _WRITING.items()),
        Operation("zone.export", imports.export, False),
        Operation("zone.import", imports.import_, True),
        Operation("zone.replace_text", imports.replace_text, True),
    )
}


def run(context: Context, name: str, args: Mapping[str, Any], payload: bytes | Whole = b"") -> tuple[Result, bytes]:
    """The result, as JSON can hold it, and a payload. Raises what ``errors`` has; UsageError: no such operation.

    Each operation that writes takes ``comment``, which the zone's history keeps.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        raise UsageError(f"there is no operation {name!r}")
    given = Args(name, args, payload)
    if operation.writes and "comment" in args:
        context = replace(context, comment=given.optional_text("comment") or "")
        given = replace(given, values={key: value for key, value in args.items() if key != "comment"})
    return operation.run(context, given)
