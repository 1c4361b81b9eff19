"""How a command gets its work done: by the running server over its control socket, else on the database itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnsserver.cli import output
from dnsserver.cli.client import Answer, Client
from dnsserver.cli.owner import as_owner, login_name
from dnsserver.errors import Unreachable

if TYPE_CHECKING:
    from dnsserver.config import Config
    from dnsserver.editing import Context
    from dnsserver.store.secretbox import SecretBox
    from dnsserver.zone.whole import Whole

_WITH_SECRETS = ("key.", "access.")


@dataclass(slots=True)
class Session:
    """One run of the program. ``json``: the command was given ``--json``."""

    config_file: Path | None = None
    json: bool = False
    _config: Config | None = None
    _client: Client | None = None
    _asked: bool = False
    _context: Context | None = field(default=None, repr=False)

    @property
    def config(self) -> Config:
        """Read when it is first needed; raises NotFound, InvalidData."""
        if self._config is None:
            from dnsserver import config

            self._config = config.load(self.config_file)
        return self._config

    def call(self, op: str, args: dict[str, Any], payload: bytes | Whole = b"", *, create: bool = False) -> Answer:
        """The result of an operation of ``dnsserver.editing`` and its payload; raises what it raises.

        ``create``: make the database where it is not there (``--init``).
        """
        if (client := self.connected()) is not None:
            return client.call(op, args, payload if isinstance(payload, bytes) else payload.pack())
        return self._direct(op, args, payload, create)

    def ask(self, op: str, args: dict[str, Any]) -> dict[str, Any]:
        """The result of what only a running server can do; raises Unreachable where none runs."""
        return self.server(op).call(op, args)[0]

    def server(self, what: str) -> Client:
        """The running server; raises Unreachable that says that ``what`` needs it, before anything is done."""
        if (client := self.connected()) is None:
            socket = self.config.server.control_socket
            raise Unreachable(
                f"{what} needs the running server, and none answers at {socket}: nothing was done. "
                "Start it with `dnsserver serve`, or check --config"
            )
        return client

    def connected(self) -> Client | None:
        """The running server; None where none runs."""
        if not self._asked:
            self._asked = True
            self._client = Client.connect(self.config.server.control_socket, login_name())
        return self._client

    def _direct(self, op: str, args: dict[str, Any], payload: bytes | Whole, create: bool) -> Answer:
        # All imported before the user changes: the owner of the database may not be able to read this program.
        from dnsserver import editing

        with as_owner(self.config.database.sqlite_path):
            if self._context is None:
                self._context = _context(self.config, op, create)
                output.note(
                    f"note: no server answers at {self.config.server.control_socket}; "
                    "this works on the database itself, and nothing is served yet"
                )
            now = time.time()
            context = replace(self._context, now=now, who=replace(self._context.who, now=now))
            return editing.run(context, op, args, payload)

    def close(self) -> None:
        """Let go of what was opened."""
        if self._client is not None:
            self._client.close()
        if self._context is not None:
            with as_owner(self.config.database.sqlite_path):
                self._context.db.close()


def _context(config: Config, op: str, create: bool) -> Context:
    from dnsserver import editing
    from dnsserver.composition import edit_limits, zone_defaults
    from dnsserver.store.commit import Who
    from dnsserver.store.database import Database

    now = time.time()
    return editing.Context(
        db=Database.open(config.database.url, create=create, secret=_secret(config, op)),
        who=Who(login_name(), "cli", now),
        limits=edit_limits(config),
        defaults=zone_defaults(config),
        server_name=config.server.own_name(),
        runtime=None,
        now=now,
    )


def _secret(config: Config, op: str) -> SecretBox | None:
    """What opens the keys' secrets, where an operation needs it; made when missing, but only beside a database."""
    path = config.database.sqlite_path
    if not op.startswith(_WITH_SECRETS) or (path is not None and not path.exists()):
        return None
    from dnsserver.store.secretbox import SecretBox

    return SecretBox.load(config.server.secret_file, create=True)
