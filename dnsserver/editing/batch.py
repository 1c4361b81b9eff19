"""``record apply``: transactions in nsupdate's language, each one change (RFC 2136, 3.2 and 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import nsupdate
from dnsserver.editing.commit import edit_in, editable, retrying
from dnsserver.editing.context import Args, Context
from dnsserver.editing.edit import ZoneEdit
from dnsserver.editing.nsupdate import Action, Transaction, Verb
from dnsserver.errors import Conflict, DnsServerError, InvalidData, NotFound, Problem
from dnsserver.store import zones
from dnsserver.zone import names, rdata, rrtypes
from dnsserver.zone.rdata import type_to_text

# An addition replaces what is there: RFC 2136, 3.4.2.2; for DNAME RFC 6672, 5.2.
_REPLACED = frozenset({rrtypes.CNAME, rrtypes.DNAME})


def apply(ctx: Context, args: Args) -> dict[str, Any]:
    """record.apply {text, source?}: ``changes`` has one result a transaction, in order.

    The text is read whole before anything is done. A transaction that fails ends the run; those before it stay done,
    and the error says which and where.
    """
    args.known("text", "source")
    source = args.optional_text("source") or "-"
    text = args.values.get("text")
    script = nsupdate.read(text if isinstance(text, str) else args.text("text"), source)
    changes: list[dict[str, Any]] = []
    for transaction in script.transactions:
        try:
            result = retrying(partial(_run, ctx, transaction, source))
        except DnsServerError as error:
            raise _stopped(error, len(changes), len(script.transactions)) from error
        changes.append(result)
    return {
        "version": 1,
        "changed": any(change["changed"] for change in changes),
        "changes": changes,
        "messages": [*script.messages, *([] if changes else ["nothing to do"])],
    }


def _stopped(error: DnsServerError, done: int, total: int) -> DnsServerError:
    if total == 1:
        return error
    before = f"the {done} before it {'is' if done == 1 else 'are'} done" if done else "nothing is done"
    return type(error)(f"{error.message} (transaction {done + 1} of {total}; {before})", error.problems)


def _run(ctx: Context, transaction: Transaction, source: str) -> dict[str, Any]:
    with ctx.db.write() as conn:
        name = transaction.zone or _zone_of(conn, transaction.actions[0], source)
        try:
            zone = editable(conn, name)
        except DnsServerError as error:
            raise type(error)(f"{source}:{transaction.actions[0].line}: {error.message}") from None

        def edit(draft: ZoneEdit) -> None:
            draft.expect(action.owner for action in transaction.actions)
            _check_prerequisites(draft, transaction, source)
            for action in transaction.actions:
                if action.verb not in nsupdate.PREREQUISITES:
                    _at(source, action, draft, _update)

        try:
            return edit_in(conn, ctx, zone, edit, f"record apply {source}:{transaction.line}")
        except InvalidData as error:
            problems = [_placed(p, transaction, source) for p in error.problems or (Problem("", error.message),)]
            raise InvalidData(str(problems[0]) if len(problems) == 1 else error.message, problems) from error


def _placed(problem: Problem, transaction: Transaction, source: str) -> Problem:
    """The problem at the last line that speaks of its name, else at the transaction's ``send``."""
    if problem.place.startswith(f"{source}:"):
        return problem
    owner = problem.place.split(" ")[0].lower()
    lines = [action.line for action in transaction.actions if names.to_text(action.owner).lower() == owner]
    return Problem(f"{source}:{lines[-1] if lines else transaction.line}", problem.message, problem.severity)


def _at(source: str, action: Action, draft: ZoneEdit, do: Callable[[ZoneEdit, Action], object]) -> None:
    place = f"{source}:{action.line}"
    try:
        if not names.is_within(action.owner.lower(), draft.apex):
            raise InvalidData(f"{names.to_text(action.owner)} is not in the zone {names.to_text(draft.apex)}")
        do(draft, action)
    except InvalidData as error:
        raise InvalidData(str(Problem(place, error.message)), [Problem(place, error.message)]) from None


def _zone_of(conn: Connection, action: Action, source: str) -> bytes:
    for name in names.ancestors(action.owner.lower()):
        if zones.find(conn, name) is not None:
            return name
    raise NotFound(f"{source}:{action.line}: no zone here holds {names.to_text(action.owner)}")


def _update(draft: ZoneEdit, action: Action) -> None:
    if action.verb is Verb.DELETE:
        draft.delete(action.owner, action.type, action.rdata)
        return
    assert action.type is not None
    assert action.rdata is not None
    if action.type in _REPLACED and draft.rrset(action.owner.lower(), action.type):
        draft.set_rrset(action.owner, action.type, action.ttl, [action.rdata], force=False)
    else:
        draft.add(action.owner, action.type, action.ttl, action.rdata)


def _check_prerequisites(draft: ZoneEdit, transaction: Transaction, source: str) -> None:
    """RFC 2136, 3.2. Raises Conflict that names the first line that does not hold."""
    wanted: dict[tuple[bytes, int], list[Action]] = {}
    for action in transaction.actions:
        if action.verb not in nsupdate.PREREQUISITES:
            continue
        _at(source, action, draft, lambda *_: None)
        owner = action.owner.lower()
        if action.type is not None and action.rdata is not None:
            wanted.setdefault((owner, action.type), []).append(action)
            continue
        found = draft.node(owner) if action.type is None else draft.rrset(owner, action.type)
        if bool(found) != (action.verb in (Verb.YXDOMAIN, Verb.YXRRSET)):
            _fail(source, action, "does not exist" if not found else "exists")
    for (owner, rtype), actions in wanted.items():
        # RFC 2136, 3.2.3: the RRset as a whole; TTLs are not compared.
        there = {rdata.canonical(rtype, record.rdata) for record in draft.rrset(owner, rtype)}
        if there != {rdata.canonical(rtype, action.rdata) for action in actions if action.rdata is not None}:
            shown = ", ".join(rdata.to_text(rtype, record.rdata) for record in draft.rrset(owner, rtype))
            _fail(source, actions[0], f"is {shown}" if shown else "does not exist")


def _fail(source: str, action: Action, why: str) -> None:
    kind = f" {type_to_text(action.type)}" if action.type is not None else ""
    raise Conflict(
        f"{source}:{action.line}: the prerequisite {action.verb.value} does not hold: "
        f"{names.to_text(action.owner)}{kind} {why}; nothing of this transaction is done"
    )
