"""The gate that screens applicants: whom it stops, when it says nothing, and what it keeps."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.screening.lists import SNAPSHOT
from tests.serving.gated import profile_of

from obligor.core.application import Application
from obligor.screening.screener import Screener, asked_of
from obligor.security.signing import SigningKey
from obligor.serving.gates.aml import AmlColumns, AmlGate, Clearances, Subjects
from obligor.serving.gates.gate import Gating, PromptGate

if TYPE_CHECKING:
    from obligor.screening.screener import Asked
    from obligor.serving.gates.gate import GateResult

AT = datetime(2026, 11, 26, 21, tzinfo=UTC)
LATE = datetime(2027, 1, 26, 12, tzinfo=UTC)
SUBJECTS = Subjects(bytes(32))
OLEG = {"applicant_name": "Oleg Korvand", "applicant_number": "C-1"}
JANE = {"applicant_name": "Jane Example", "applicant_number": "C-2"}


@dataclass
class InForce:
    screener: Screener | None


def gate_of(screener: Screener | None = None, **more: object) -> AmlGate:
    return AmlGate(InForce(screener or Screener.of(SNAPSHOT)), subjects=SUBJECTS, **more)  # type: ignore[arg-type]


def said(gate: AmlGate, fields: dict[str, object], *, at: datetime = AT) -> GateResult:
    return asyncio.run(gate.evaluate(Application(fields, {}), at=at))


GATE = gate_of()


def test_an_applicant_on_the_list_fails_and_another_passes() -> None:
    assert said(GATE, OLEG).result == "fail"
    assert said(GATE, JANE).result == "pass"
    weak = {"applicant_name": "El Martillo"}
    assert said(GATE, weak | {"applicant_birth_date": date(1990, 1, 1)}).result == "pass"
    assert said(GATE, weak | {"applicant_birth_date": date(1952, 3, 12)}).result == "fail"


def test_who_has_another_name_that_is_on_the_list_fails() -> None:
    assert said(GATE, JANE | {"applicant_aliases": "J. Example; KORVAND Oleg ;"}).result == "fail"
    assert said(GATE, JANE | {"applicant_aliases": "J. Example; Jane Sample"}).result == "pass"
    assert said(GATE, JANE | {"applicant_aliases": " ; "}).result == "pass"
    eighth = ";".join([*"abcdefg", "Oleg Korvand"])
    assert said(GATE, JANE | {"applicant_aliases": eighth}).result == "fail"


def test_the_name_may_stand_in_columns_of_the_lender() -> None:
    gate = gate_of(columns=AmlColumns(("first", "last"), born="birth"))
    assert said(gate, {"first": "Oleg", "last": "Korvand"}).result == "fail"
    assert said(gate, {"first": "Jane", "last": "Example", "birth": "1970-01-01"}).result == "pass"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"applicant_name": None},
        {"applicant_name": "\u200b"},
        {"applicant_name": 7},
        {"applicant_name": "Example " * 1250},
        {"applicant_name": "Jane Example", "applicant_birth_date": "01.02.1970"},
        {"applicant_name": "Jane Example", "applicant_aliases": "\u200b;..."},
        {"applicant_name": "Jane Example", "applicant_aliases": ";".join("abcdefghi")},
    ],
    ids=lambda it: json.dumps(it)[:40],
)
def test_an_applicant_who_cannot_be_compared_does_not_pass(fields: dict[str, object]) -> None:
    assert said(GATE, fields) == ("pending", {"trouble": "not_comparable"})
    assert GATE.at_once(Application(fields, {}), at=AT) == ("pending", {"trouble": "not_comparable"})


def test_nobody_passes_without_a_list_or_on_one_that_is_too_old() -> None:
    none = AmlGate(InForce(None), subjects=SUBJECTS)
    assert said(none, JANE) == none.at_once(Application(JANE, {}), at=AT) == ("pending", {"trouble": "no_list"})
    assert said(GATE, JANE, at=LATE).result == "pending"
    assert said(GATE, JANE, at=LATE).evidence["stale"] is True
    assert said(gate_of(Screener.of(replace(SNAPSHOT, published=None))), JANE).result == "pending"
    assert said(GATE, OLEG, at=LATE).result == "fail"  # a hit counts on an old list too


def test_who_was_screened_before_is_answered_at_once_and_anybody_else_is_not() -> None:
    gate = gate_of()
    assert isinstance(gate, PromptGate)
    jane = Application(JANE, {})
    assert gate.at_once(jane, at=AT) is None
    told = said(gate, JANE)
    assert gate.at_once(jane, at=AT) == told
    again = Application({"applicant_name": "JANÉ, Example"}, {})
    assert gate.at_once(again, at=AT) == told  # the same name, written otherwise
    assert gate.at_once(jane, at=LATE).result == "pending"  # type: ignore[union-attr]  # the list has aged meanwhile
    other = Application(JANE | {"applicant_birth_date": date(1970, 1, 1)}, {})
    assert gate.at_once(other, at=AT) is None


def test_a_new_list_remembers_nothing_of_the_old_one() -> None:
    now = InForce(Screener.of(SNAPSHOT))
    gate = AmlGate(now, subjects=SUBJECTS)
    assert said(gate, OLEG).result == "fail"
    now.screener = Screener.of(replace(SNAPSHOT, entries=tuple(it for it in SNAPSHOT.entries if it.id != "1001")))
    assert gate.at_once(Application(OLEG, {}), at=AT) is None
    assert said(gate, OLEG).result == "pass"


def test_the_evidence_pins_the_list_and_tells_nothing_of_a_hit() -> None:
    hit, none = said(GATE, OLEG), said(GATE, JANE)
    assert hit.evidence == none.evidence
    assert hit.evidence["list_sha256"] == SNAPSHOT.sha256
    assert "korvand" not in json.dumps(hit.evidence).lower()


# Clearing

NUMBERS = st.sampled_from((None, "", "7", 7.0, "A-1"))
BIRTHS = (None, "1952", "1952-01-01", "1952-12-31")
ASKED = st.sampled_from([asked_of(names, born) for names in (("Jane Example",), ("Oleg Korvand",)) for born in BIRTHS])


def cleared(fields: dict[str, object], *, until: datetime, snapshot: object = SNAPSHOT, **known: str) -> Clearances:
    screener = Screener.of(snapshot)  # type: ignore[arg-type]
    asked = AmlColumns().asked(fields, screener)
    (hit,) = screener.hits(asked[0])
    found = Clearances()
    subject = SUBJECTS.of_person(asked, number=known.get("number"), application_id=known.get("application_id"))
    found.until = {(subject, hit.entry, hit.version): until}
    return found


def test_a_hit_that_was_cleared_is_none_for_this_person_until_it_expires() -> None:
    gate = gate_of(clearances=cleared(OLEG, until=AT + timedelta(days=1), number="C-1"))
    assert said(gate, OLEG).result == "pass"
    assert said(gate, OLEG).evidence == said(GATE, OLEG).evidence
    assert said(gate, OLEG, at=AT + timedelta(days=1)).result == "fail"
    for other in (
        OLEG | {"applicant_number": "C-9"},
        {"applicant_name": "Oleg Korvand"},
        OLEG | {"applicant_birth_date": date(1952, 3, 12)},
        OLEG | {"applicant_name": "Oleg Petrovich Korvand"},
    ):
        assert said(gate, other).result == "fail"


@given(*[st.tuples(NUMBERS, st.sampled_from(("7", "A-1", None)), ASKED)] * 2)
def test_two_are_one_person_where_the_lender_calls_them_so_or_else_their_application_and_the_same_was_screened(
    one: tuple[object, str | None, tuple[Asked, ...]], other: tuple[object, str | None, tuple[Asked, ...]]
) -> None:
    def called(number: object, application_id: str | None, asked: tuple[Asked, ...]) -> object:
        return ("application", application_id, asked) if number in (None, "") else ("number", number, asked)

    first, second = (SUBJECTS.of_person(it[2], number=it[0], application_id=it[1]) for it in (one, other))
    assert (first == second) == (called(*one) == called(*other))


def test_each_deployment_and_each_kind_of_list_names_people_otherwise() -> None:
    keys = [SigningKey("obligor-test", Ed25519PrivateKey.from_private_bytes(bytes([it]) * 32)) for it in (1, 2)]
    named = {
        Subjects.of(key, kind).of_person((), number="C-1", application_id=None)
        for key, kind in product(keys, ("sanctions", "pep"))
    }
    assert len(named) == 4


def test_without_a_number_of_the_lender_a_clearance_is_for_one_application() -> None:
    oleg = {"applicant_name": "Oleg Korvand"}
    clearances = cleared(oleg, until=LATE, application_id="A-1")
    assert said(gate_of(clearances=clearances, application_id=lambda _: "A-1"), oleg).result == "pass"
    assert said(gate_of(clearances=clearances, application_id=lambda _: "A-2"), oleg).result == "fail"
    assert said(gate_of(clearances=clearances), oleg).result == "fail"


def test_a_clearance_is_over_when_the_list_says_something_else_of_the_entry() -> None:
    clearances = cleared(OLEG, until=LATE, number="C-1")
    first, *rest = SNAPSHOT.entries
    assert first.id == "1001"
    other = Screener.of(replace(SNAPSHOT, entries=(replace(first, programmes=("MORE",)), *rest)))
    same = Screener.of(replace(SNAPSHOT, published=date(2026, 11, 25), entries=(first, *rest[:-1])))
    assert said(gate_of(other, clearances=clearances), OLEG).result == "fail"
    assert said(gate_of(same, clearances=clearances), OLEG).result == "pass"


def test_a_match_that_was_confirmed_counts_whatever_was_cleared_and_whatever_the_list_says() -> None:
    clearances = cleared(OLEG, until=LATE, number="C-1")
    ((subject, *_),) = clearances.until
    without = Screener.of(replace(SNAPSHOT, entries=SNAPSHOT.entries[1:]))
    assert said(gate_of(clearances=clearances), OLEG).result == "pass"
    assert said(gate_of(without, clearances=clearances), OLEG).result == "pass"
    clearances.confirmed = frozenset({subject})
    for gate in (gate_of(clearances=clearances), gate_of(without, clearances=clearances)):
        for _ in ("asked of the list", "remembered"):
            assert said(gate, OLEG).result == "fail"
            assert said(gate, JANE).result == "pass"
        at_once = gate.at_once(Application(OLEG, {}), at=AT)
        assert at_once is not None
        assert at_once.result == "fail"
        assert said(gate, OLEG, at=LATE).result == "fail"  # on a list that is too old as well
        assert said(gate, OLEG | {"applicant_number": "C-9"}).result == said(gate_of(gate._lists.screener), OLEG).result


def test_a_screener_that_fails_holds() -> None:
    class Broken:
        @property
        def screener(self) -> Screener:
            raise RuntimeError("no")

    async def judged() -> object:
        profile = profile_of(aml="enforce")
        gating = Gating({"aml": AmlGate(Broken(), subjects=SUBJECTS)})
        return (await gating.judge(Application(JANE, {}), profile, at=AT)).results

    assert asyncio.run(judged()) == {"aml": "pending"}


def test_many_at_once_are_screened_while_others_go_on() -> None:
    async def main() -> list[str]:
        gate = gate_of()
        people = [Application({"applicant_name": f"Jane {chr(97 + at % 26)}example {at}"}, {}) for at in range(60)]
        people.append(Application(OLEG, {}))
        return [it.result for it in await asyncio.gather(*(gate.evaluate(it, at=AT) for it in people))]

    assert asyncio.run(main()) == [*["pass"] * 60, "fail"]


def test_what_is_screened_again_waits_until_no_decision_does() -> None:
    """Right after a new list everybody is screened anew, within a deadline."""
    may_begin, order = threading.Event(), list[str]()

    class Slow:
        def hits(self, asked: Asked) -> tuple[()]:
            may_begin.wait(10)
            order.append(asked[0][0])
            return ()

    async def main() -> None:
        gate, screener = gate_of(), cast("Screener", Slow())
        finding = [gate.find(screener, [(("first",), None)]), gate.find_aside(screener, [(("again",), None)])]
        finding += [gate.find(screener, [((name,), None)]) for name in ("second", "third")]
        tasks = [asyncio.ensure_future(it) for it in finding]
        await asyncio.sleep(0.05)
        may_begin.set()
        await asyncio.gather(*tasks)
        gate.close()

    asyncio.run(main())
    assert order == ["first", "second", "third", "again"]
