"""Edits follow from one another, name their author and reason, and always lead to the same bins."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.bins import Bins, CategoryBins, NumericBins
from obligor.core.edits import Draft, Edits, Figures, parse_edits
from obligor.core.errors import EditError
from obligor.core.rebinning import Change, Merge, MoveCut, Split, SplitLevels, Undo

AT = datetime(2026, 11, 26, 16, 0, tzinfo=UTC)
FIGURES = Figures(
    information_value=0.1, characteristics=9, gini=0.4, ks=0.3, log_loss=0.2, approval_rate=0.8, npl_rate=0.05
)
INCOME, HOUSING = (
    NumericBins("income", (10.0, 20.0, 30.0), (-9.0,)),
    CategoryBins("housing", (("family", "own"), ("rent",))),
)


def draft(bins: Bins, *, contract: str = "c" * 64, tape: str = "t" * 64) -> Draft:
    return Draft(
        card_sha256="d" * 64,
        contract_sha256=contract,
        snapshot_sha256=tape,
        cuts=getattr(bins, "cuts", ()),
        groups=getattr(bins, "groups", ()),
        specials=bins.specials,
        validation=FIGURES,
    )


def edited(edits: Edits, change: Change, bins: Bins = INCOME, **said: Any) -> Edits:
    now = edits.fixed.get(bins.feature, bins)
    wanted = {"author": "Ann", "reason": "one story", "at": AT, "draft": draft(now), **said}
    return edits.followed_by(bins.feature, change, **wanted)


THREE = edited(edited(edited(Edits(), Merge(bins=(1, 2))), Split(at=25.0)), SplitLevels(levels=("own",)), HOUSING)


def test_edits_lead_to_the_bins_of_the_last_of_each_characteristic() -> None:
    assert THREE.fixed == {
        "income": NumericBins("income", (20.0, 25.0, 30.0), (-9.0,)),
        "housing": CategoryBins("housing", (("family",), ("own",), ("rent",))),
    }


def test_without_edits_nothing_is_fixed_and_there_is_no_hash() -> None:
    assert (Edits().fixed, Edits().sha256) == ({}, "")


@given(cuts=st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True))
def test_the_same_edits_in_order_lead_to_the_same_bins_through_the_file(cuts: list[int]) -> None:
    edits, start = Edits(), NumericBins("income", (0.0,))
    for cut in cuts:
        edits = edited(edits, Split(at=cut), start)
    read = parse_edits(edits.to_json())
    assert read == edits
    assert read.sha256 == edits.sha256
    assert read.fixed["income"] == NumericBins("income", tuple(map(float, sorted([0, *cuts]))))


def test_an_edit_is_taken_back_by_another_and_both_stay_on_record() -> None:
    once = edited(THREE, Undo())
    assert once.fixed["income"] == NumericBins("income", (20.0, 30.0), (-9.0,))
    twice = edited(once, Undo())
    assert "income" not in twice.fixed
    assert len(twice.edits) == 5
    with pytest.raises(EditError, match="'income': has no edit to take back"):
        edited(twice, Undo())


def test_after_all_edits_were_taken_back_an_edit_starts_from_the_bins_of_its_draft() -> None:
    free = edited(edited(Edits(), Merge(bins=(1, 2))), Undo())
    refitted = NumericBins("income", (15.0,), (-9.0,))
    assert edited(free, Split(at=18.0), refitted).fixed["income"] == NumericBins("income", (15.0, 18.0), (-9.0,))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"author": "  "}, "edit: has no author; wanted a name"),
        ({"reason": ""}, "edit: has no reason; wanted why it is made"),
        ({"reason": "x" * 2001}, "longer than 2000 characters"),
        ({"author": "An\x1b[31mn"}, "its author is not printable"),
        ({"draft": draft(NumericBins("income", (1.0,), (-9.0,)))}, "was made on other bins of 'income'"),
    ],
)
def test_an_edit_without_author_or_reason_or_on_other_bins_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(EditError, match=message):
        edited(THREE, MoveCut(cut=30.0, to=35.0), **said)


def altered(place: int, **said: Any) -> bytes:
    """Change an edit of the file of three as a person with an editor would."""
    plain = json.loads(THREE.to_json())
    plain["edits"][place] |= said
    return json.dumps(plain).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (altered(0, reason="another"), "edit 2 does not follow from the one before it"),
        (altered(1, author="Bob"), "edit 3 does not follow from the one before it"),
        (altered(0, change={"kind": "merge", "bins": [1, 9]}), "edit 2 does not follow"),
        (altered(2, change={"kind": "merge", "bins": [1, 9]}), "'housing': has no bin 9"),
        (altered(2, at="yesterday"), "edits.2.at"),
        (altered(2, at="2026-11-26T16:00:00"), "edits.2.at"),
        (altered(2, why="x"), "is a key that is not known"),
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "edits: "),
        (b'{"schema": "obligor/edits/2", "edits": []}', "schema"),
    ],
)
def test_a_file_that_was_altered_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(EditError, match=message):
        parse_edits(data)


def test_an_edit_taken_out_of_the_middle_is_missed() -> None:
    plain = json.loads(THREE.to_json())
    del plain["edits"][1]
    with pytest.raises(EditError, match="edit 2 does not follow"):
        parse_edits(json.dumps(plain).encode())


def test_edits_of_another_contract_or_tape_are_refused_by_name() -> None:
    THREE.refuse_elsewhere("c" * 64, "t" * 64)
    with pytest.raises(EditError, match="edit 1, of 'income', was made on a draft of the contract c"):
        THREE.refuse_elsewhere("x" * 64, "t" * 64)
    with pytest.raises(EditError, match=r"of the tape t+; got the tape x"):
        THREE.refuse_elsewhere("c" * 64, "x" * 64)


def test_a_time_without_a_zone_is_refused_and_another_zone_is_kept() -> None:
    east = edited(Edits(), Merge(bins=(1, 2)), at=AT.astimezone(timezone(timedelta(hours=2))))
    assert parse_edits(east.to_json()).edits[0].at == AT
    with pytest.raises(ValueError, match="timezone"):
        edited(Edits(), Merge(bins=(1, 2)), at=AT.replace(tzinfo=None))
