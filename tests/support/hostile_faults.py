"""All faults of the hostile primary."""

from __future__ import annotations

from . import hostile_exchanges, hostile_streams
from .hostile_fault import KEY, Fault

__all__ = ["FAULTS", "KEY", "Fault"]

FAULTS: tuple[Fault, ...] = (*hostile_streams.FAULTS, *hostile_exchanges.FAULTS)
assert len({fault.name for fault in FAULTS}) == len(FAULTS), "a name stands twice"
