"""Each case of the table asked of us in process and of BIND, NSD and Knot over the wire: RFC 1034, 4.3.2 and after."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.interop.answer_cases import CASES, Case
from tests.interop.answer_reasons import REASONS
from tests.interop.authorities import Authority, Ours, authorities

__all__ = ["authorities"]

PROGRAMS = ("named", "nsd", "knotd")


@pytest.fixture(scope="session")
def ours() -> Ours:
    return Ours()


def test_the_table_is_whole() -> None:
    """Issue 3: at least 250 cases; each reason written, used, and an RFC quoted where all three differ from us."""
    assert len(CASES) >= 250
    names = Counter(case.name for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []
    used = {reason for case in CASES for reason in case.differs.values()}
    assert used == REASONS.keys()
    assert {program for case in CASES for program in case.differs} <= set(PROGRAMS)
    for case in CASES:
        if len(case.differs) == len(PROGRAMS):
            reasons = [REASONS[reason] for reason in case.differs.values()]
            assert any("RFC" in reason and '"' in reason for reason in reasons), case.name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rcode(case: Case, ours: Ours) -> None:
    """Ours alone: what the table says, with no foreign server."""
    assert ours.ask(case.wire, case.tcp).rcode == case.rcode


@pytest.mark.interop(*PROGRAMS)
@pytest.mark.xdist_group("authorities")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer(case: Case, ours: Ours, authorities: dict[str, Authority]) -> None:
    """Ours is theirs: RCODE, AA, TC, an OPT, and the sections as sets, except where the case says why not."""
    mine = ours.ask(case.wire, case.tcp)
    differing = {}
    for program, authority in authorities.items():
        theirs = authority.ask(case.wire, case.tcp)
        if fields := theirs.differences(mine):
            differing[program] = {field: (getattr(theirs, field), getattr(mine, field)) for field in sorted(fields)}
    unexplained = {program: fields for program, fields in differing.items() if program not in case.differs}
    assert not unexplained, "theirs, ours"
    assert set(differing) == set(case.differs), "a reason that no longer holds"
