"""What a person is told of a decision on them: words, what they gave, and no number of the card."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.core.test_scorer import bins
from tests.serving import golden_decisions as golden

from obligor.core.errors import CardError
from obligor.serving.acts import Caller
from obligor.serving.deciding import DECISIONS
from obligor.serving.gates.gate import NOT_JUDGED
from obligor.serving.making import Maker
from obligor.serving.privacy.telling import told_to_the_subject
from obligor.serving.probing import Probing
from obligor.serving.records import Record
from obligor.serving.releases.release import compile_release
from obligor.serving.releases.wording import in_words
from obligor.serving.sources import Sources
from obligor.serving.webhooks.events import Listeners

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obligor.core.scorecard import Scorecard
    from obligor.serving.releases.release import Release

CUTS = (1013.0, 2087.0)
DAY = golden.START.date()


def release_of(*, changeable: str = "income", lowest: int = -3011) -> Release:
    """A card on which a higher income earns what is wanting; what it calls an income stands in its contract."""
    whole = golden.whole_card()
    income = {"cuts": CUTS, "bins": bins(lowest, 3017, 4019, 3, -2), "reference": 3001}
    columns = dict(whole.applications.columns)
    columns["income"] = columns["income"].model_copy(update={"description": "Income in a month"})
    characteristics = tuple(
        it.model_copy(update=(income if it.feature == "income" else {}) | {"changeable": it.feature == changeable})
        for it in whole.characteristics
    )
    table = whole.applications.model_copy(update={"columns": columns})
    return compiled(whole.model_copy(update={"characteristics": characteristics, "applications": table}))


def compiled(card: Scorecard) -> Release:
    return compile_release(7, card=card, policy=golden.policy_of(card), profile=golden.profile_of())


def application(**changes: Any) -> dict[str, Any]:
    given = {"customer": "c1", "income": 700.0, "amount": 300.0, "purpose": "car", "owner": True, "channel": "web"}
    return given | {"applied_on": DAY.isoformat(), "bureau": []} | changes


def decided(release: Release, **changes: Any) -> dict[str, Any]:
    """Decide as the service does, and give the record."""
    maker = Maker(Sources(lambda: golden.START, bytes), Listeners(), None)
    caller = Caller("lender", "key", frozenset({"decide"}), golden.START)
    asked = Probing().asked("lender", release, release.read(application(**changes)))
    made = maker.make(caller, release, asked, at=golden.START, key="k", route=DECISIONS, judged=NOT_JUDGED)
    record: dict[str, Any] = json.loads(made.act.record)
    return record


def _leaves(told: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(told, dict):
        for key, it in told.items():
            yield from _leaves(it, key)
    elif isinstance(told, list):
        for it in told:
            yield from _leaves(it, name)
    else:
        yield name, told


def refuse_numbers_of_the_card(told: dict[str, Any]) -> None:
    """Refuse every number but what the person gave, their PD, the number of the release, and what they would have to give."""
    given = {it for _, it in _leaves(told["input"])}
    for name, it in _leaves({key: value for key, value in told.items() if key != "input"}):
        if isinstance(it, int | float) and not isinstance(it, bool):
            assert name in ("pd", "release", "rows", "instead") or it in given, (name, it)
            assert name != "instead" or it not in CUTS
    assert told["pd"] == round(told["pd"], 3)
    words = [
        [it["text"] for it in told["reasons"]],
        told["explanation"]["decided_by"],
        told["explanation"]["of_changes"],
    ]
    words += [it["factor"] for it in told["explanation"]["factors"]]
    assert not re.search(r"\d", json.dumps(words))


def told_of(release: Release, record: dict[str, Any]) -> dict[str, Any]:
    return told_to_the_subject(record) | {"explanation": in_words(release, record)}


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "decline"),
        ({"income": 1500.0}, "approve"),
        ({"income": 0.0, "amount": 0.0}, "decline"),
        ({"income": None}, "decline"),
    ],
)
def test_no_number_of_the_card_is_told(changes: dict[str, Any], outcome: str) -> None:
    release = release_of()
    record = decided(release, **changes)
    assert record["outcome"] == outcome
    refuse_numbers_of_the_card(told_of(release, record))


def test_every_field_of_a_record_is_told_or_held_back() -> None:
    held_back = {"gates", "scopes", "bins", "points", "score", "cutoff"}
    told = told_to_the_subject(dict.fromkeys(Record.__struct_fields__, "") | {"pd": 0.12345, "reasons": []})
    assert set(Record.__struct_fields__) - set(told) == held_back
    assert told["pd"] == 0.123


def test_a_decline_is_explained_by_what_was_given_and_by_what_would_have_been_enough() -> None:
    release = release_of()
    told = told_of(release, decided(release))
    assert {"code": "income", "text": "Income is low"} in told["reasons"]
    words = told["explanation"]
    assert words["decided_by"] == "the score, against the cut-off that applied"
    assert {"factor": "Income in a month", "given": {"income": 700.0}, "effect": "hurt"} in words["factors"]
    by_factor = {it["factor"]: it for it in words["factors"]}
    assert by_factor["ratio"] == {"factor": "ratio", "given": {"amount": 300.0, "income": 700.0}, "effect": "hurt"}
    assert by_factor["lines"]["given"] == {"bureau": {"rows": 0}}
    assert words["changes"] == [
        {
            "together": [{"factor": "Income in a month", "given": {"income": 700.0}, "instead": 1100.0}],
            "decided_again": True,
        },
        {
            "together": [{"factor": "Income in a month", "given": {"income": 700.0}, "instead": 2100.0}],
            "decided_again": True,
        },
    ]
    assert decided(release, income=1100.0)["outcome"] == "approve"


def test_an_approval_is_explained_and_nothing_is_asked_of_it() -> None:
    release = release_of()
    words = in_words(release, decided(release, income=1500.0))
    assert {it["effect"] for it in words["factors"]} == {"helped", "hurt"}
    assert (words["changes"], words["of_changes"]) == ([], "none was looked for: it was approved")


def test_what_a_rule_would_refer_all_the_same_is_no_change() -> None:
    """The score would approve at a higher income; but with so many lines a person must look."""
    release = release_of()
    lines = [{"at": (DAY - timedelta(days=it)).isoformat(), "balance": 5.5} for it in range(1, 5)]
    record = decided(release, bureau=lines)
    assert (record["outcome"], record["because"], record["knockouts"]) == ("decline", "score", ["many_lines"])
    words = in_words(release, record)
    assert words["changes"] == []
    assert words["of_changes"].startswith("none of one or two factors")


def test_of_a_rule_that_decided_no_change_is_looked_for() -> None:
    release = release_of()
    words = in_words(release, decided(release, income=0.0, amount=1.0))
    assert words["decided_by"] == "a rule that stands beside the score"
    assert words["of_changes"] == "none was looked for: it was not the score that decided"


def test_of_what_is_computed_only_the_direction_is_told() -> None:
    release = release_of(changeable="ratio", lowest=-1011)
    record = decided(release, amount=3000.0)
    assert record["outcome"] == "decline"
    (way,) = in_words(release, record)["changes"]
    assert way == {
        "together": [{"factor": "ratio", "given": {"amount": 3000.0, "income": 700.0}, "instead": "lower"}],
        "decided_again": False,
    }


def test_words_do_not_tell_what_a_gate_said() -> None:
    release = release_of()
    record = decided(release)
    hit = record | {"gates": {"aml": {"state": "enforce", "result": "fail"}}}
    assert told_of(release, hit) == told_of(release, record)
    held = hit | {"outcome": "hold", "because": "gate:aml:fail", "reasons": []}
    late = held | {"because": "gate:kyc:pending"}
    assert told_of(release, held) == told_of(release, late)
    assert in_words(release, held)["decided_by"] == "a person, after a check that stands beside the score"


def test_a_card_that_cannot_explain_is_refused() -> None:
    release = release_of()
    record = decided(release)
    bare = [
        it.model_copy(update={"bins": tuple(row.model_copy(update={"goods": 0.0, "bads": 0.0}) for row in it.bins)})
        for it in release.card.characteristics
    ]
    with pytest.raises(CardError):
        in_words(compiled(release.card.model_copy(update={"characteristics": tuple(bare)})), record)
