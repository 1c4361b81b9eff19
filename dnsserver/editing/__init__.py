"""Use cases: edit, check, choose the serial, commit. Each is an operation of ``OPERATIONS``, run by ``run``."""

from __future__ import annotations

from dnsserver.editing.context import Context, EditLimits, Runtime, ZoneDefaults
from dnsserver.editing.registry import OPERATIONS, Operation, run

__all__ = ["OPERATIONS", "Context", "EditLimits", "Operation", "Runtime", "ZoneDefaults", "run"]
