"""What an answerer starts with, read from SQL by a child that lives no longer than that.

An answerer that runs has no use for SQL: to have its libraries in memory would take 25 MB. The child reads and makes
pages while this process takes them in.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator

from dnsserver import child, forking, link
from dnsserver.answerer.settings import AnswererSettings

_BUFFER = 1 << 20


def stored(settings: AnswererSettings) -> Iterator[link.Message]:
    """``replication.snapshot``, from the database. Ends the process when it cannot be read: the child has said why.

    To be called while this process has one thread only.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        forking.ends(lambda: _write(settings, writing))
    os.close(writing)
    with open(reading, "rb", _BUFFER) as stream:
        while (message := link.read(stream)) is not None:
            yield message
    if status := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        sys.exit(abs(status))


def _write(settings: AnswererSettings, descriptor: int) -> None:
    # A million rows are no garbage; and there is not enough time for any.
    gc.disable()
    with child.failing("answerer"), open(descriptor, "wb", _BUFFER) as stream:
        for message in _read(settings):
            stream.write(link.encode(message))


def _read(settings: AnswererSettings) -> Iterator[link.Message]:
    from dnsserver.replication import ensure_secrets, snapshot
    from dnsserver.store.database import Database
    from dnsserver.store.secretbox import SecretBox

    secret = SecretBox.load(settings.secret_file, create=False)
    with Database.open(settings.database_url, create=False, secret=secret) as database:
        # On a new database it may be here before the keeper, and the first answer has a cookie too.
        ensure_secrets(database, time.time())
        yield from snapshot(database, time.time())
