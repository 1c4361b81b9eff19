"""Growth as an SVG: a panel for each measure, both axes logarithmic, a line for each server."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from .growth import MEASURES, OF

Row = dict[str, Any]
Points = list[tuple[float, float]]

_COLOURS = {"dnsserver": "#d03b2f", "BIND": "#2f6fb7", "NSD": "#3a9a5b", "Knot": "#8a5bb5", "PowerDNS": "#c98a1b"}
_WIDE, _HIGH = 300, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 34, 40
_LEGEND = 30


def lines_of(rows: Sequence[Row], kind: str, measure: str) -> dict[str, Points]:
    """The points of each server that has any."""
    found: dict[str, Points] = {}
    for row in rows:
        if row["of"] == kind and row[measure]:
            found.setdefault(row["server"], []).append((row["count"], row[measure]))
    return found


def write(path: Path, rows: Sequence[Row]) -> None:
    """One row of panels for each kind."""
    parts, widest, top = [], 0, _LEGEND
    for kind, words in OF.items():
        panels = [(measure, lines) for measure in MEASURES if (lines := lines_of(rows, kind, measure))]
        for number, (measure, lines) in enumerate(panels):
            inside = _panel(MEASURES[measure], words, lines)
            parts.append(f'<g transform="translate({number * _WIDE} {top})">{inside}</g>\n')
        widest = max(widest, len(panels))
        top += _HIGH if panels else 0
    size = f'width="{widest * _WIDE}" height="{top}" viewBox="0 0 {widest * _WIDE} {top}"'
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11" fill="#333">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{_legend(rows)}\n{"".join(parts)}</svg>\n'
    )


def _legend(rows: Sequence[Row]) -> str:
    servers = list(dict.fromkeys(row["server"] for row in rows))
    return "".join(
        f'<line x1="{x}" x2="{x + 20}" y1="18" y2="18" stroke="{_colour(name)}" stroke-width="2.5"/>'
        f'<text x="{x + 25}" y="22">{escape(name)}</text>'
        for x, name in zip(range(_LEFT, _LEFT + 110 * len(servers), 110), servers, strict=True)
    )


def _colour(server: str) -> str:
    return _COLOURS.get(server, "#555")


class _Scale:
    """A logarithmic axis of whole powers of ten, from ``low`` to ``high`` pixels."""

    def __init__(self, values: Sequence[float], low: float, high: float) -> None:
        first, last = floor(log10(min(values))), ceil(log10(max(values)))
        self.powers = range(first, max(last, first + 1) + 1)
        self._low, self._each = low, (high - low) / (len(self.powers) - 1)

    def at(self, value: float) -> float:
        return round(self._low + (log10(value) - self.powers[0]) * self._each, 1)


def _panel(title: str, below: str, lines: dict[str, Points]) -> str:
    points = [point for each in lines.values() for point in each]
    right, bottom = _WIDE - _RIGHT, _HIGH - _BOTTOM
    across, up = _Scale([x for x, _ in points], _LEFT, right), _Scale([y for _, y in points], bottom, _TOP)
    parts = [f'<text x="{_LEFT}" y="{_TOP - 10}" font-weight="bold">{escape(title)}</text>']
    for power in across.powers:
        x = across.at(10**power)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{_number(power)}</text>')
    for power in up.powers:
        y = up.at(10**power)
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_number(power)}</text>')
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{bottom + 30}" text-anchor="middle">{escape(below)}</text>')
    for server, each in lines.items():
        place = [(across.at(x), up.at(y)) for x, y in each]
        path = " ".join(f"{x},{y}" for x, y in place)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{_colour(server)}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{_colour(server)}"/>' for x, y in place]
    return "".join(parts)


def _number(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:.{-power}f}"
