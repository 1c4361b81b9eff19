"""The benchmark's own parts: what it asks is well-formed, what it says of answers is right, and each part runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import dns.tsigkeyring
import dns.update
import dns.zone
import pytest

from scripts.bench_lib import (
    aims,
    axfr,
    document,
    editing,
    growth,
    ixfr,
    many,
    plot,
    primaries,
    process,
    root,
    running,
    signing,
    sizes,
    table,
    tcp,
    zones,
)
from scripts.bench_lib.load import Feeder, Query, QuerySet, wrong
from scripts.bench_lib.servers import SERVERS, free_port

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("query", "axfr", "import", "ixfr", "start", "latency", "edit", "growth", "receive")
ID = b"\x12\x34"


def _answer(query: Query, *, rcode: int = 0, authoritative: bool = True, more: bytes = b"") -> bytes:
    flags = bytes((0x84 if authoritative else 0x80, rcode))
    return ID + flags + b"\0\1\0\1\0\0\0\0" + query.question + more


def test_what_is_wrong_with_an_answer() -> None:
    query = zones.query(zones.wire_name("a.example."), b"\x0a\0\0\1")
    assert wrong(_answer(query, more=b"\x0a\0\0\1"), query) is None
    assert wrong(_answer(query, more=b"\x0a\0\0\2"), query) == "another answer"
    assert wrong(_answer(query, rcode=2, more=b"\x0a\0\0\1"), query) == "RCODE 2, flags 84"
    assert wrong(_answer(query, authoritative=False, more=b"\x0a\0\0\1"), query) == "not authoritative"
    assert wrong(ID + query.body, query) == "not a response"


def test_a_negative_answer_and_a_referral_can_be_what_is_expected() -> None:
    missing = Query(zones.query(zones.wire_name("a.example."), b"").body, b"soa", rcode=3)
    assert wrong(_answer(missing, rcode=3, more=b"..soa"), missing) is None
    assert wrong(_answer(missing, more=b"..soa"), missing) == "RCODE 0, flags 84"
    referral = Query(missing.body, b"ds", authoritative=False)
    assert wrong(_answer(referral, authoritative=False, more=b"ds"), referral) is None
    assert wrong(_answer(referral, more=b"ds"), referral) == "authoritative"


def test_a_fifth_of_the_cold_names_is_not_there_and_none_is_asked_for_twice() -> None:
    queries = zones.cold(4_000, 5_000, seed=1)
    assert len({query.body for query in queries}) == 5_000
    assert sum(query.rcode == 3 for query in queries) == 1_000


def test_the_request_for_a_difference() -> None:
    message = dns.message.from_wire(ID + ixfr.request(zones.BIG, 7))
    assert message.question[0].rdtype == dns.rdatatype.IXFR
    assert [rrset[0].serial for rrset in message.authority] == [7]  # RFC 1995, 3


def _signed_stream(count: int) -> tuple[bytes, bytes]:
    """Answers to a signed request as they come over TCP, every second one with a signature, and the request's MAC."""
    message, mac = signing.signed(ID + axfr.request(zones.BIG))
    ring = dns.tsigkeyring.from_text({signing.KEY: ("hmac-sha256", signing.SECRET)})
    asked = dns.message.from_wire(message, keyring=ring)  # verifies the request
    assert asked.had_tsig
    assert asked.mac == mac
    stream, context = b"", None
    for number in range(count):
        answer = dns.message.make_response(asked)
        answer.answer.append(dns.rrset.from_text(f"a{number}.{zones.BIG}", 300, "IN", "A", "192.0.2.1"))
        if number % 2:
            bare = dns.message.make_response(asked)
            bare.answer, bare.tsig = answer.answer, None
            wire = bare.to_wire()
            assert context is not None
            context.update(wire)
        else:
            wire = answer.to_wire(multi=True, tsig_ctx=context)
            context = answer.tsig_ctx
        stream += axfr.framed(wire)
    return stream, mac


def test_a_signed_transfer_is_verified_and_a_wrong_octet_noticed() -> None:
    stream, mac = _signed_stream(5)
    assert signing.verify(stream, mac) == 3
    at = stream.index(b"\xc0\0\2\1")
    for broken in (stream[:at] + b"\xc1" + stream[at + 1 :], stream[: len(_signed_stream(4)[0])]):
        with pytest.raises(RuntimeError, match="signature"):
            signing.verify(broken, mac)
    with pytest.raises(RuntimeError, match="signature"):
        signing.verify(stream, bytes(32))


def test_an_update_replaces_the_addresses_of_a_name() -> None:
    message = dns.message.from_wire(ID + primaries.update_message(zones.BIG, f"a.{zones.BIG}", bytes((10, 0, 0, 1))))
    assert isinstance(message, dns.update.UpdateMessage)
    assert message.zone[0].name.to_text() == zones.BIG
    assert [rrset.to_text() for rrset in message.update][-1] == f"a.{zones.BIG} 300 IN A 10.0.0.1"
    assert len(message.update) == 2


def test_the_root_is_asked_with_do_for_referrals_above_all(tmp_path: Path) -> None:
    if why := root.unpack(tmp_path / "root.zone"):
        pytest.skip(why)
    queries = root.Questions(tmp_path / "root.zone").make(1_000)
    messages = [dns.message.from_wire(ID + query.body) for query in queries]
    assert all(message.ednsflags & dns.flags.DO and message.payload == 1232 for message in messages)
    assert 450 < sum(not query.authoritative for query in queries) < 650
    assert 150 < sum(query.rcode == 3 for query in queries) < 350


def test_an_answer_that_is_late_from_an_earlier_run_is_no_failure() -> None:
    feeder = Feeder(QuerySet(zones.hot(3)), once=True)
    feeder.take(1)
    assert feeder.of((5_000).to_bytes(2, "big")) in zones.hot(3)


def test_a_port_is_none_that_the_kernel_gives_away() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert max(ports) < min(lowest, 20_000)  # where tests/support/procs.py begins


def test_a_port_that_another_benchmark_was_given_is_none() -> None:
    port = free_port()
    code = f"from scripts.bench_lib import servers; servers._LOWEST_PORT = {port}; servers._HIGHEST_PORT = {port + 9}"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print([servers.free_port() for _ in range(3)])"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    given = json.loads(done.stdout)
    assert len(set(given)) == 3
    assert port not in given


def test_a_process_that_has_ended_is_no_failure() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    process.pin(ended.pid, 0)
    assert process.descendants(ended.pid) == [ended.pid]
    assert process.processor_seconds(ended.pid) == 0
    assert process.priorities(ended.pid) == []


@pytest.mark.parametrize("kind", ["records", "zones"])
def test_what_growth_edits_is_there_before(kind: str, tmp_path: Path) -> None:
    job, path = growth.job(kind, 20, sizes.QUICK), tmp_path / "zone"
    if kind == "zones":
        many.write(path)
    else:
        zones.write(path, zones.BIG, 20, alone=True)
    zone = dns.zone.from_file(str(path), job.zone)
    assert dns.name.from_text(job.owner) in [name.derelativize(zone.origin) for name in zone]
    assert sum(len(rdataset) for _, rdataset in zone.iterate_rdatasets()) == job.records


def test_growth_as_a_power() -> None:
    assert growth.exponent([(10, 1.0)]) is None
    assert growth.exponent([(10, 5.0), (100, 5.0)]) == pytest.approx(0)
    assert growth.exponent([(1, 9.0), (10, 2.0), (100, 200.0)]) == pytest.approx(2)


def test_the_plot_is_a_drawing_with_a_line_for_each_server(tmp_path: Path) -> None:
    rows = [
        {"server": server, "of": "records", "count": count, "query": 7.0, "edit": None, "start": 0.1 * count,
         "memory": 20.0, "axfr": 0.004}
        for server in ("dnsserver", "BIND")
        for count in (100, 1_000)
    ]  # fmt: skip
    plot.write(tmp_path / "growth.svg", rows)
    drawing = ElementTree.parse(tmp_path / "growth.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    lines = drawing.findall(f".//{space}polyline")
    assert len(lines) == 2 * 4
    starts = [line for line in lines if line.get("stroke") == "#d03b2f"][1]
    places = [tuple(map(float, place.split(","))) for place in (starts.get("points") or "").split()]
    assert places[0][0] < places[1][0]
    assert places[0][1] > places[1][1]  # upwards


def _queried(server: str, **microseconds: float) -> dict[str, Any]:
    return {"server": server, **{kind: {"microseconds": value} for kind, value in microseconds.items()}}


def test_aims_are_met_or_missed_by_a_share() -> None:
    rows = [_queried("dnsserver", hot=6.0, cold=12.0), _queried("BIND", cold=12.0), _queried("Knot", hot=5.0, cold=8.0)]
    hot, cold, cold_to_knot = aims.aims({"query": rows})
    assert (hot.what, hot.demand) == ("hot query", "at most 1 x Knot")
    assert hot.measured == pytest.approx(1.2)
    assert hot.missed == pytest.approx(0.2)
    assert cold.missed == 0
    assert cold_to_knot.missed == pytest.approx(1.5 / 1.25 - 1)


def test_what_is_to_be_more_is_missed_when_it_is_less() -> None:
    rates = {"dnsserver": 400, "BIND": 100, "Knot": 800}
    rows = [{"server": name, "rate": rate, "first_rate": rate, "signed_rate": rate} for name, rate in rates.items()]
    repeated, first, signed = aims.aims({"axfr": rows})
    assert repeated.missed == pytest.approx(0.8 / 0.5 - 1)
    assert first.missed == signed.missed == 0


def test_aims_in_times_and_of_what_was_not_measured() -> None:
    state = {"p99": 2.0, "gap": 25.0}
    latency = {"server": "dnsserver", "idle": {"p99": 1.0, "gap": 1.0}, "importing": state, "editing": None}
    edit = {"server": "dnsserver, no server", "one": {"wall": 0.9}}
    found = aims.aims({"latency": [latency], "edit": [edit], "start": [], "query": [_queried("dnsserver", hot=1.0)]})
    assert [(aim.what, round(aim.missed, 3)) for aim in found] == [
        ("p99 while importing", 0.0),
        ("longest gap while importing", 0.25),
        ("one CLI edit, no server", 0.5),
    ]


def test_tables_come_into_a_document_at_their_marks(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text("a\n<!-- bench aims -->\nold\n<!-- end -->\nb <!-- bench ixfr --> kept <!-- end -->\n")
    document.put(path, {"aims": "| new |"})
    text = "a\n<!-- bench aims -->\n\n| new |\n\n<!-- end -->\nb <!-- bench ixfr --> kept <!-- end -->\n"
    assert path.read_text() == text


def test_what_was_saved_of_several_runs_is_one(tmp_path: Path) -> None:
    facts = {"servers": {"BIND": "9.18"}, "python": "3.11", "cores": 2, "machine": "here"}
    runs = {"axfr": [{"server": "BIND", "rate": 1}], "ixfr": []}, {"axfr": [{"server": "BIND", "rate": 2}]}
    spent = {"axfr": 200.0, "ixfr": 90.0}, {"axfr": 190.0, "query": 1.0}  # query failed
    paths = [tmp_path / str(number) for number in range(2)]
    for path, parts, seconds in zip(paths, runs, spent, strict=True):
        path.write_text(document.as_json(facts | {"seconds": seconds, "failed": {}}, parts))
    found = facts | {"seconds": {"axfr": 190.0, "ixfr": 90.0}}
    assert document.read(paths) == (found, {"axfr": [{"server": "BIND", "rate": 2}], "ixfr": []})
    run = document.sections(found, {"ixfr": [], "axfr": []}, dict.fromkeys(PARTS, lambda _: ""))["run"]
    assert run.endswith(". It took 5 minutes: axfr 3.2, ixfr 1.5")


def test_what_takes_a_server_long_it_does_less_often() -> None:
    assert [axfr.at_once(20, seconds) for seconds in (0.5, 6.0, 10.0, 100.0)] == [20, 20, 6, 2]
    assert [editing.affordable(seconds, 1_000) for seconds in (0.002, 0.4, 60.0)] == [1_000, 75, 1]


def _edited(server: str, seconds: float, **done: int) -> dict[str, Any]:
    spent = {"wall": seconds, "own": seconds / 10, "server": seconds / 2}
    row = {"server": server, "how": "-", "records": 100, "batch_size": 10, "transaction_count": 1_000}
    return row | {"one": spent, "batch": spent, "transactions": spent | done}


def test_transactions_are_shown_each_with_their_number_where_they_are_fewer() -> None:
    rows = [_edited("dnsserver", 3.0), _edited("BIND", 1.5, done=1_000), _edited("Knot", 30.0, done=75)]
    ends = [[cell.strip() for cell in line.split("|")[11:-1]] for line in table.edit(rows).splitlines()[2:]]
    assert ends == [
        ["3.00", "2.00", "0.30", "1.50"],
        ["1.50", "1.00", "0.15", "0.75"],
        ["400.00 (75)", "266.67", "40.00", "200.00"],
    ]


def test_what_another_server_fails_at_costs_no_one_else_his_figures() -> None:
    said: list[str] = []
    with running.spared("PowerDNS", "editing", said.append):
        raise RuntimeError("RCODE 5")
    assert said == ["PowerDNS: editing failed, and is left out: RCODE 5"]
    with pytest.raises(RuntimeError, match="RCODE 2"), running.spared("dnsserver", "editing", said.append):
        raise RuntimeError("RCODE 2")


def test_a_primary_without_a_change_that_was_served_has_no_line() -> None:
    row = _edited("dnsserver", 3.0) | {"changes": 20, "to BIND": {"median": 4.0, "asked": 30.0}}
    spread = table.edit([row, _edited("PowerDNS", 1.0) | editing._delays([])]).split("\n\n")[1]
    assert [[cell.strip() for cell in line.split("|")[1:4]] for line in spread.splitlines()[2:]] == [
        ["dnsserver", "20", "4.0"]
    ]


def test_a_server_that_is_slow_over_tcp_is_asked_for_seconds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "_AT_MOST", 0.0)
    hot = zones.hot(100)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answered() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rwb") as stream:
                while head := stream.read(2):
                    message = stream.read(int.from_bytes(head, "big"))
                    query = hot[int.from_bytes(message[:2], "big")]
                    answer = message[:2] + _answer(query, more=query.rdata)[2:]
                    stream.write(axfr.framed(answer))
                    stream.flush()

        thread = threading.Thread(target=answered)
        thread.start()
        result = tcp.Pipeline(listening.getsockname(), hot).run(100_000, pytest.fail)
        thread.join()
    assert (result.lost, result.wrong) == (0, 0)
    assert 0 < result.answers < 1_000


def _nsd(folder: Path, words: str) -> dict[str, str]:
    """The environment of a benchmark that finds this in place of NSD, and a checker that has nothing to say."""
    programs, temporary = folder / "programs", folder / "temporary"
    for each in (programs, temporary):
        each.mkdir()
    for name, does in {"nsd": words, "nsd-checkzone": "exit 0"}.items():
        (programs / name).write_text(f'#!/bin/sh\n[ "$1" = -v ] && exit 0\n{does}\n')
        (programs / name).chmod(0o755)
    return os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(temporary)}


_BENCH = [sys.executable, "-m", "scripts.bench_lib", "--only", "nsd", "--quick"]


def test_a_part_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    environment = _nsd(tmp_path, "echo no such disk; exit 1")
    command = [*_BENCH, "start", "import", "--json", "--save", str(tmp_path / "saved")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    measured = json.loads(done.stdout)
    assert set(measured["parts"]) == {"import"}
    assert set(measured["seconds"]) == {"start", "import"}
    assert measured["failed"] == {"start": "RuntimeError: NSD does not answer:\nno such disk"}
    assert json.loads((tmp_path / "saved").read_text()) == measured
    assert "import (part 2 of 2)" in done.stderr
    assert "start failed" in done.stderr.splitlines()[-2]


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    environment = _nsd(tmp_path, f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 10000")
    with subprocess.Popen([*_BENCH, "start"], cwd=ROOT, env=environment) as bench:
        while not pid.exists():
            assert bench.poll() is None
            time.sleep(0.05)
        bench.send_signal(signal.SIGTERM)
        assert bench.wait() == 128 + signal.SIGTERM
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    assert not list((tmp_path / "temporary").iterdir())


_FORGOTTEN = """
import subprocess
from scripts.bench_lib import process
words = ["sh", "-c", "sleep 10000 & echo $!; wait"]
shell = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
print(shell.pid, shell.stdout.readline().decode())
process.end_all()
"""


def _ends(pid: int) -> bool:
    for _ in range(600):
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_what_was_started_and_forgotten_is_ended() -> None:
    done = subprocess.run([sys.executable, "-c", _FORGOTTEN], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert [_ends(int(pid)) for pid in done.stdout.split()] == [True, True]


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_each_part_runs(part: str, tmp_path: Path) -> None:
    if part == "receive" and not next(server for server in SERVERS if server.name == "NSD").installed:
        pytest.skip("NSD is not installed")
    command = [str(ROOT / "scripts/bench"), part, "--quick", "--json", "--plot", str(tmp_path / "growth.svg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "\n".join(done.stderr.splitlines()[-60:])
    measured = json.loads(done.stdout)
    assert measured["parts"][part][0]["server"] == "dnsserver"
    if all(server.installed for server in SERVERS):
        assert {aim["part"] for aim in measured["aims"]} == {part} - {"growth", "receive"}
    assert (tmp_path / "growth.svg").exists() == (part == "growth")
