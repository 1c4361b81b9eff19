"""Files that commands are given."""

from __future__ import annotations

from pathlib import Path

# A zone file's lines.
GOOD = ("$TTL 1h", "@ SOA ns1 hostmaster 10 1h 10m 2w 5m", "@ NS ns1", "ns1 A 192.0.2.1", "www A 192.0.2.7")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path
