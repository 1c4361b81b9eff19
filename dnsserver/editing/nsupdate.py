"""The language of nsupdate, read into transactions (BIND's nsupdate(1); RFC 2136 for what they mean).

    zone NAME                                        the zone of the updates (else found by their first name)
    ttl SECONDS                                      for additions that give none
    [prereq] nxdomain|yxdomain NAME                  the name has no records, has some
    [prereq] nxrrset|yxrrset NAME [IN] TYPE [RDATA]  the RRset is not there, is there, consists of these records
    [update] add NAME [TTL] [IN] TYPE RDATA
    [update] delete NAME [TTL] [IN] [TYPE [RDATA]]
    send                                             ends a transaction; so does an empty line

Names are absolute, with or without the final dot, as nsupdate takes them. Lines that begin with ``;`` are comments.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from dnsserver.editing.inputs import record_type
from dnsserver.errors import InvalidData, Problem
from dnsserver.zone import names, rdata
from dnsserver.zone.ttl import parse_ttl


class Verb(Enum):
    """What a line of a transaction asks for."""

    NXDOMAIN = "nxdomain"
    YXDOMAIN = "yxdomain"
    NXRRSET = "nxrrset"
    YXRRSET = "yxrrset"
    ADD = "add"
    DELETE = "delete"


PREREQUISITES = frozenset({Verb.NXDOMAIN, Verb.YXDOMAIN, Verb.NXRRSET, Verb.YXRRSET})


@dataclass(frozen=True, slots=True)
class Action:
    """One prerequisite or update. ``owner`` in the case as written; what a verb does not use is None."""

    line: int
    verb: Verb
    owner: bytes
    type: int | None = None
    ttl: int | None = None
    rdata: bytes | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one ``send`` does: ``zone`` None: the one that the first owner lies in. ``line``: of the ``send``."""

    line: int
    zone: bytes | None
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """``messages``: the commands that were ignored, and why."""

    transactions: tuple[Transaction, ...]
    messages: tuple[str, ...]


_IGNORED = {
    "server": "changes go to this server's own database",
    "local": "changes go to this server's own database",
    "port": "changes go to this server's own database",
    "realm": "no Kerberos is involved",
    "key": "changes go to this server's own database, and are not signed",
    "show": "use the result of each change",
    "answer": "use the result of each change",
    "debug": "",
    "check-names": "",
    "lease": "",
    "version": "",
    "help": "",
    "?": "",
    "quit": "",
}
_REFUSED = frozenset({"gsstsig", "oldgsstsig"})
_WORD = re.compile(r"\s*(\S+)")
# Most lines of a large batch, taken as a whole: word by word takes twice as long.
_PLAIN_ADD = re.compile(
    r"(?:update )?add ([!-~]+) ([0-9]{1,9}) (?:IN )?(A|AAAA|CNAME|MX|NS|PTR|SRV|TXT) ([!-~](?:[ -~]*[!-~])?)"
)


def read(text: str, source: str = "-") -> Script:
    """The transactions of ``text``. Raises InvalidData with every problem as ``source:line``; nothing is done then.

    Updates after the last ``send`` are an error: a file that was cut off is not half applied.
    """
    reader = _Reader()
    problems: list[Problem] = []
    line_number = 0
    for line_number, line in enumerate(text.splitlines(), 1):
        try:
            if not reader.line(line_number, line):
                break
        except InvalidData as error:
            problems.append(Problem(f"{source}:{line_number}", error.message))
    if reader.actions:
        problems.append(Problem(f"{source}:{line_number}", "updates without `send` after them"))
    if problems:
        count = f"{len(problems)} errors" if len(problems) > 1 else str(problems[0])
        raise InvalidData(f"{count}; nothing is changed", problems)
    return Script(tuple(reader.transactions), tuple(reader.messages))


class _Reader:
    def __init__(self) -> None:
        self.transactions: list[Transaction] = []
        self.messages: list[str] = []
        self.actions: list[Action] = []
        self._zone: bytes | None = None
        self._ttl: int | None = None

    def line(self, number: int, line: str) -> bool:
        """Take one line; False after ``quit``."""
        plain = _PLAIN_ADD.fullmatch(line)
        if plain is not None:
            name, ttl, kind, text = plain.groups()
            owner, rtype = names.from_user(name), record_type(kind)
            self.actions.append(Action(number, Verb.ADD, owner, rtype, int(ttl), _rdata(rtype, text)))
            return True
        if line.lstrip().startswith(";"):
            return True
        words = _Words(line)
        word = words.next()
        if word is None or word.lower() == "send":
            words.end()
            self._send(number)
            return True
        command = word.lower()
        if command in ("prereq", "update"):
            command = words.need("what to do").lower()
            allowed = _PREREQ if word.lower() == "prereq" else _UPDATE
            if command not in allowed:
                raise InvalidData(f"{word} {command}: there are {', '.join(allowed)}")
        if command in _PREREQ:
            self.actions.append(_PREREQ[command](number, Verb(command), words))
        elif command in _UPDATE:
            self.actions.append(self._update(number, _UPDATE[command], words))
        else:
            self._setting(number, command, words)
        return command != "quit"

    def _send(self, number: int) -> None:
        if self.actions:
            self.transactions.append(Transaction(number, self._zone, tuple(self.actions)))
        self.actions = []

    def _setting(self, number: int, command: str, words: _Words) -> None:
        if command == "zone":
            self._zone = words.name("the zone's name").lower()
        elif command == "ttl":
            self._ttl = parse_ttl(words.need("seconds"))
        elif command == "class":
            if (given := words.need("a class")).upper() != "IN":
                raise InvalidData(f"class {given}: there is only IN here")
        elif command in _IGNORED:
            why = _IGNORED[command]
            if why:
                self.messages.append(f"line {number}: {command} is ignored: {why}")
            return
        elif command in _REFUSED:
            raise InvalidData(f"{command} is not supported: changes are made in the database itself")
        else:
            raise InvalidData(f"{command!r} is no command of nsupdate's language")
        words.end()

    def _update(self, number: int, verb: Verb, words: _Words) -> Action:
        owner = words.name("a name")
        ttl = words.ttl()
        words.skip_class(deleting=verb is Verb.DELETE)
        word = words.next()
        if verb is Verb.ADD:
            if ttl is None:
                ttl = self._ttl
            if word is None:
                raise InvalidData("add needs a type and rdata")
            rtype = record_type(word)
            return Action(number, verb, owner, rtype, ttl, _rdata(rtype, words.rest()))
        if word is None or word.upper() == "ANY":
            words.end()
            return Action(number, verb, owner)
        rtype, rest = record_type(word), words.rest()
        return Action(number, verb, owner, rtype, None, _rdata(rtype, rest) if rest else None)


def _domain(number: int, verb: Verb, words: _Words) -> Action:
    action = Action(number, verb, words.name("a name"))
    words.end()
    return action


def _rrset(number: int, verb: Verb, words: _Words) -> Action:
    owner = words.name("a name")
    words.skip_class()
    rtype, rest = record_type(words.need("a type")), words.rest()
    if rest and verb is Verb.NXRRSET:
        raise InvalidData("nxrrset takes no rdata (RFC 2136, 2.4.3)")
    return Action(number, verb, owner, rtype, None, _rdata(rtype, rest) if rest else None)


_PREREQ: dict[str, Callable[[int, Verb, _Words], Action]] = {
    "nxdomain": _domain,
    "yxdomain": _domain,
    "nxrrset": _rrset,
    "yxrrset": _rrset,
}
_UPDATE = {"add": Verb.ADD, "delete": Verb.DELETE, "del": Verb.DELETE}


def _rdata(rtype: int, text: str) -> bytes:
    if not text:
        raise InvalidData(f"{rdata.type_to_text(rtype)} needs rdata")
    return rdata.from_user(rtype, text, names.ROOT)


class _Words:
    """The words of a line, and the rest of it as it stands."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0

    def next(self) -> str | None:
        if (found := _WORD.match(self._line, self._at)) is None:
            return None
        self._at = found.end()
        return found[1]

    def need(self, what: str) -> str:
        if (word := self.next()) is None:
            raise InvalidData(f"the line ends where {what} should stand")
        return word

    def name(self, what: str) -> bytes:
        return names.from_user(self.need(what))

    def ttl(self) -> int | None:
        found = _WORD.match(self._line, self._at)
        if found is None or not found[1][0].isdigit():
            return None
        self._at = found.end()
        return parse_ttl(found[1])

    def skip_class(self, *, deleting: bool = False) -> None:
        """``deleting``: ANY is what a deletion of RRsets carries (RFC 2136, 2.5.2)."""
        found = _WORD.match(self._line, self._at)
        if found is not None and found[1].upper() in _CLASSES:
            if found[1].upper() != "IN" and not (deleting and found[1].upper() == "ANY"):
                raise InvalidData(f"class {found[1]}: there is only IN here")
            self._at = found.end()

    def rest(self) -> str:
        return self._line[self._at :].strip()

    def end(self) -> None:
        if self.rest():
            raise InvalidData(f"{self.rest()!r} is too much")


_CLASSES = frozenset({"IN", "CH", "CHAOS", "HS", "HESIOD", "NONE", "ANY"})
