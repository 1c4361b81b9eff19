"""The rows as Markdown tables, as they stand in docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .aims import Aim
from .growth import MEASURES, OF, exponent
from .plot import lines_of

Row = dict[str, Any]
REFERENCE = "BIND"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    ruler = "|" + "|".join("-" * (width + 1) + ("-" if not i else ":") for i, width in enumerate(widths)) + "|"
    return "\n".join([line(header), ruler, *(line(row) for row in rows)])


def ratio_to(rows: Sequence[Row], value: Callable[[Row], float | None], to: str = REFERENCE) -> Callable[[Row], str]:
    """A value as a multiple of BIND's (or another's); a dash where one of the two is not there."""
    reference = next((value(row) for row in rows if row["server"] == to), None)

    def text(row: Row) -> str:
        own = value(row)
        return f"{own / reference:.2f}" if own and reference else "-"

    return text


def query(rows: Sequence[Row]) -> str:
    """A line for each kind: microseconds of each server, and the first one's as a multiple of two others'."""
    kinds = [kind for kind in rows[0] if kind != "server" and any(row[kind] for row in rows)]
    names = [row["server"] for row in rows]
    costs, shares = [], []
    for kind in kinds:

        def value(row: Row, kind: str = kind) -> float | None:
            return row[kind]["microseconds"] if row[kind] else None

        ratios = [ratio_to(rows, value, to=to)(rows[0]) for to in (REFERENCE, "Knot")]
        each = (value(row) for row in rows)
        costs.append([kind, *("-" if own is None else f"{own:.2f}" for own in each), *ratios])
        used = (row[kind] for row in rows)
        shares.append([kind, *(f"{one['busy']:.0%}, {one['load']:.0%}" if one else "-" for one in used)])
    notes = [
        f"{row['server']}, {kind}: {row[kind]['lost']} queries lost, {row[kind]['wrong']} wrong answers in the sample"
        for row in rows
        for kind in kinds
        if row[kind] and (row[kind]["lost"] or row[kind]["wrong"])
    ]
    header = ["processor time per query (us)", *names, f"{names[0]} x {REFERENCE}", "x Knot"]
    used_header = ["core used by the server, by the load", *names]
    return "\n".join([markdown(header, costs), "", markdown(used_header, shares), *notes])


def axfr(rows: Sequence[Row]) -> str:
    again = ratio_to(rows, lambda row: float(row["rate"]))
    to_knot = ratio_to(rows, lambda row: float(row["rate"]), to="Knot")
    first = ratio_to(rows, lambda row: float(row["first_rate"]))
    signed = ratio_to(rows, lambda row: float(row["signed_rate"]))
    header = [
        *(f"AXFR of {rows[0]['records']:,} records", "first (records/s)", f"x {REFERENCE}"),
        *("again (records/s)", f"x {REFERENCE}", "x Knot", "us/record", "MB", "messages"),
    ]
    lines = [
        [
            *(row["server"], f"{row['first_rate']:,}", first(row), f"{row['rate']:,}", again(row), to_knot(row)),
            *(f"{row['processor_microseconds']:.2f}", f"{row['octets'] / 1e6:.1f}", f"{row['messages']:,}"),
        ]
        for row in rows
    ]
    transfers = rows[0]["transfers"]
    more = [
        *("AXFR", "with TSIG (records/s)", f"x {REFERENCE}", "us/record"),
        *(f"{transfers} at once (records/s)", "us/record", "MB before", "MB meanwhile", "MB after"),
    ]
    others = [
        [
            *(row["server"], f"{row['signed_rate']:,}", signed(row), f"{row['signed_processor_microseconds']:.2f}"),
            *(
                _fewer(f"{row['many_rate']:,}", row["transfers"], transfers),
                f"{row['many_processor_microseconds']:.2f}",
            ),
            *(f"{row['memory'][when]:,.0f}" for when in ("before", "during", "after")),
        ]
        for row in rows
    ]
    return f"{markdown(header, lines)}\n\n{markdown(more, others)}"


def _fewer(cell: str, done: int, of: int) -> str:
    """With the number of those that were done, in parentheses, where it is not the header's."""
    return cell if done == of else f"{cell} ({done:,})"


def loading(rows: Sequence[Row]) -> str:
    header, columns = [f"{rows[0]['records']:,} records"], []
    for kind, title in (
        ("first", "import (s)"),
        ("again", f"again, {rows[0]['changes']:,} changed (s)"),
        ("export", "export (s)"),
    ):

        def value(row: Row, kind: str = kind) -> float | None:
            return row[kind]["seconds"] if row[kind] else None

        header += [title, "x PowerDNS", "processor (s)"]
        columns.append((kind, ratio_to(rows, value, to="PowerDNS")))
    lines = []
    for row in rows:
        cells = [row["server"]]
        for kind, ratio in columns:
            own = row[kind]
            cells += [f"{own['seconds']:.2f}", ratio(row), f"{own['processor']:.2f}"] if own else ["-"] * 3
        lines.append(cells)
    how = (f"- {row['server']}: {row['how']}" for row in rows)
    return "\n".join([markdown(header, lines), "", *how])


def receive(rows: Sequence[Row]) -> str:
    whole = ratio_to(rows, lambda row: float(row["whole"]), to="PowerDNS")
    changes = ratio_to(rows, lambda row: float(row["changes"]))
    header = [
        f"{rows[0]['records']:,} records received",
        "AXFR (s)",
        "x PowerDNS",
        "processor (s)",
        "IXFR (s)",
        "x BIND",
        "processor (s)",
        "p99 idle (ms)",
        "p99 meanwhile (ms)",
    ]
    return markdown(
        header,
        [
            [
                row["server"],
                f"{row['whole']:.2f}",
                whole(row),
                f"{row['whole_processor']:.2f}",
                f"{row['changes']:.3f}",
                changes(row),
                f"{row['changes_processor']:.2f}",
                f"{row['idle']:.2f}",
                f"{row['meanwhile']:.2f}",
            ]
            for row in rows
        ],
    )


def ixfr(rows: Sequence[Row]) -> str:
    one, many = ratio_to(rows, lambda row: float(row["seconds"])), ratio_to(rows, lambda row: row["requests_seconds"])
    processor = ratio_to(rows, lambda row: float(row["processor_seconds"]))
    header = [
        f"IXFR of {rows[0]['changes']:,} changes of {rows[0]['records']:,} records",
        "first (ms)",
        "again (ms)",
        f"x {REFERENCE}",
        "processor (ms)",
        f"x {REFERENCE}",
        "octets",
        f"{rows[0]['requests']:,} requests (s)",
        f"x {REFERENCE}",
        "processor (s)",
    ]
    return markdown(
        header,
        [
            [
                row["server"],
                f"{row['first'] * 1000:.2f}",
                f"{row['seconds'] * 1000:.2f}",
                one(row),
                f"{row['processor_seconds'] * 1000:.2f}",
                processor(row),
                f"{row['octets']:,}",
                f"{row['requests_seconds']:.2f}",
                many(row),
                f"{row['requests_processor_seconds']:.2f}",
            ]
            for row in rows
        ],
    )


def start(rows: Sequence[Row]) -> str:
    return "\n\n".join(_start(rows, kind) for kind in ("records", "zones"))


def _start(rows: Sequence[Row], kind: str) -> str:
    suffix = " of ten records" if kind == "zones" else ""
    header, columns = [f"start with {rows[0][f'of_{kind}']:,} {kind}{suffix}"], []
    for field, title, form in (
        ("seconds", "seconds", "{:.2f}"),
        ("processor", "processor seconds", "{:.2f}"),
        ("memory", "MB", "{:,.0f}"),
        ("largest", "MB of its largest process", "{:,.0f}"),
    ):

        def value(row: Row, field: str = field) -> float:
            return float(row[kind][field])

        header += [title, f"x {REFERENCE}"]
        columns.append((form, value, ratio_to(rows, value)))
    return markdown(
        header,
        [
            [row["server"], *(cell for form, value, ratio in columns for cell in (form.format(value(row)), ratio(row)))]
            for row in rows
        ],
    )


def latency(rows: Sequence[Row]) -> str:
    header = ["milliseconds at half load", "q/s", "while", "p50", "p99", "x idle", "p99.9", "longest", "gap", "behind"]
    header += ["lost", "done"]
    lines = []
    for row in rows:
        for state in (key for key, value in row.items() if isinstance(value, dict)):
            one = row[state]
            cells = [row["server"], f"{row['rate']:,}", state, f"{one['p50']:.2f}", f"{one['p99']:.2f}"]
            cells.append(f"{one['p99'] / row['idle']['p99']:.1f}" if row["idle"] and row["idle"]["p99"] else "-")
            cells += [f"{one[name]:.2f}" for name in ("p999", "most", "gap", "late")]
            lines.append([*cells, f"{one['lost']:,}", f"{one['done']:,}"])
    # Of the others the other work is a thread's.
    ran = {state: value["running"] for state, value in rows[0].items() if isinstance(value, dict)}
    notes = [f"- {rows[0]['server']}, {state}: {'; '.join(names)}" for state, names in ran.items()]
    return "\n".join([markdown(header, lines), "", *notes])


def growth(rows: Sequence[Row]) -> str:
    return "\n\n".join(_growth(rows, kind) for kind in OF if any(row["of"] == kind for row in rows))


def _growth(rows: Sequence[Row], kind: str) -> str:
    counts = sorted({row["count"] for row in rows if row["of"] == kind})
    header = [f"by {OF[kind]}", "server", *(f"{count:,}" for count in counts), "grows as"]
    lines = []
    for measure, words in MEASURES.items():
        for server, points in lines_of(rows, kind, measure).items():
            values = dict(points)
            cells = [f"{values[count]:,.3g}" if count in values else "-" for count in counts]
            power = exponent(points)
            lines.append([words, server, *cells, "-" if power is None else f"n^{power:.2f}"])
    return markdown(header, lines)


def edit(rows: Sequence[Row]) -> str:
    batch, transactions = rows[0]["batch_size"], rows[0]["transaction_count"]
    header = [f"edits of a zone of {rows[0]['records']:,}", "by"]
    columns = []
    for kind, title, digits in (
        ("one", "one (ms)", 0),
        ("batch", f"{batch:,} in a batch (ms)", 0),
        ("transactions", f"each of {transactions:,} transactions (ms)", 2),
    ):

        def value(row: Row, kind: str = kind) -> float:
            return float(row[kind]["wall"]) / (_done(row) if kind == "transactions" else 1)

        header += [title, f"x {REFERENCE}", "command's own (ms)", "server's (ms)"]
        columns.append((kind, digits, ratio_to(rows, value)))
    lines = []
    for row in rows:
        cells = [row["server"], row["how"]]
        for kind, digits, ratio in columns:
            done, of = (_done(row), transactions) if kind == "transactions" else (1, 1)
            wall, own, server = (row[kind][name] * 1000 / done for name in ("wall", "own", "server"))
            cells += [_fewer(f"{wall:,.{digits}f}", done, of), ratio(row)]
            cells += [f"{own:,.{digits}f}", f"{server:,.{max(1, digits)}f}"]
        lines.append(cells)
    there = [row for row in rows if any(key.startswith("to ") for key in row)]
    return "\n\n".join([markdown(header, lines), *([_spread(there)] if there else [])])


def _done(row: Row) -> int:
    return int(row["transactions"].get("done", row["transaction_count"]))


def _spread(there: Sequence[Row]) -> str:
    kinds = {"median": "acknowledged to served by a secondary", "asked": "asked for to served by a secondary"}
    return "\n\n".join(_spread_since(there, kind, title) for kind, title in kinds.items())


def _spread_since(there: Sequence[Row], kind: str, title: str) -> str:
    header, columns = [title, "changes"], []
    for key in (key for key in there[0] if key.startswith("to ")):

        def value(row: Row, key: str = key) -> float:
            return float(row[key][kind])

        header += [f"{key} (ms)", f"x {REFERENCE}", "x Knot"]
        columns.append((value, ratio_to(there, value), ratio_to(there, value, to="Knot")))
    lines = []
    for row in there:
        cells = [row["server"], str(row.get("changes", "-"))]
        for value, ratio, to_knot in columns:
            cells += [f"{value(row):.1f}", ratio(row), to_knot(row)]
        lines.append(cells)
    return markdown(header, lines)


def aims(found: Sequence[Aim]) -> str:
    header = ["aim", "of", "measured", "", "missed by"]
    lines = [
        [
            *(aim.what, aim.demand, f"{aim.measured:.3g} {aim.unit}"),
            *(("missed", f"{aim.missed:.0%}") if aim.missed else ("met", "-")),
        ]
        for aim in found
    ]
    return markdown(header, lines)
