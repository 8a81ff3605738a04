"""One card, one number: the compiled scorer, the column scorer and plain addition agree."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.bins import Levels
from obligor.core.calibration import PdTable
from obligor.core.clauses import CardScale
from obligor.core.columnar import assign_bands, score_columns
from obligor.core.columns import Column, Feature, History, Table
from obligor.core.errors import CardError, TapeError
from obligor.core.scorecard import CardBand, CardBin, CardCutoff, Characteristic, Origin, Scorecard, parse_card
from obligor.core.scorer import compile_card


def bins(*points: int) -> tuple[CardBin, ...]:
    return tuple(
        CardBin(label=f"bin {at}", points=each, woe=0.0, goods=1.0, bads=1.0) for at, each in enumerate(points)
    )


def characteristic(feature: str, **parts: Any) -> Characteristic:
    return Characteristic(feature=feature, trend="free", information_value=0.1, coefficient=1.0, **parts)


CARD = Scorecard(
    name="small",
    horizon_months=12,
    origin=Origin(contract="c", contract_sha256="", snapshot_sha256="", obligor="0", seed=1, rows={}),
    applications=Table(
        columns={
            "income": Column(type="number", special={-1.0: "refused"}, missing=("-99",)),
            "amount": Column(type="number"),
            "purpose": Column(type="text", case="lower", map={"auto": "car"}),
            "owner": Column(type="bool"),
            "applied_on": Column(type="date", role=("applied_at",), required=True),
            "customer": Column(type="text", role=("identifier",)),
        }
    ),
    histories={
        "bureau": History(
            columns={"customer": Column(type="text"), "at": Column(type="date"), "balance": Column(type="number")},
            key=("customer", "customer"),
            event_at="at",
        )
    },
    features={
        "ratio": Feature(expression="amount / income"),
        "lines": Feature(history="bureau", aggregate="count", where="balance > 0", window_days=100),
    },
    caps={"amount": (1000.0, 50_000.0)},
    scale=CardScale(),
    base_points=500_000,
    characteristics=(
        characteristic("income", kind="numeric", cuts=(1000.0, 2000.0), specials=(-1.0,), bins=bins(-5, 7, 11, 3, -2)),
        characteristic("ratio", kind="numeric", cuts=(0.5,), bins=bins(1000, -1000, 13)),
        characteristic("purpose", kind="category", groups=(("car",), ("home", "boat")), bins=bins(20, 30, 40, 50)),
        characteristic("owner", kind="category", groups=(("true",), ("false",)), bins=bins(1, 2, 3, 4)),
        characteristic("lines", kind="numeric", cuts=(1.0, 3.0), bins=bins(100, 200, 300, 400)),
    ),
    pd=PdTable((499_000, 500_500, 502_000), (0.5, 0.2, 0.1)),
    bands=(
        CardBand(name="low", pd_max=0.15, score_min=501_000),
        CardBand(name="medium", pd_max=0.3, score_min=500_000),
        CardBand(name="high", pd_max=1.0, score_min=None),
    ),
    cutoff=CardCutoff(score=500_000, chosen_by="profit"),
)
PLAIN = {
    "income": 1500.0,
    "amount": 3000.0,
    "purpose": "CAR ",
    "owner": True,
    "applied_on": date(2024, 5, 1),
    "customer": "x",
}


def test_points_add_up_to_the_score() -> None:
    scored = compile_card(CARD).score(PLAIN)
    assert scored.bins == (1, 1, 0, 0, 0)
    assert scored.points == (7, -1000, 20, 1, 100)
    assert scored.score == 500_000 + sum(scored.points)
    assert scored.band == "high"


@pytest.mark.parametrize(
    ("change", "feature", "bin_"),
    [
        ({"income": None}, "income", 4),
        ({"income": -99.0}, "income", 4),
        ({"income": -1.0}, "income", 3),
        ({"income": -1.0}, "ratio", 2),
        ({"income": 0.0}, "ratio", 2),
        ({"income": float("nan")}, "income", 4),
        ({"income": 1e300}, "income", 4),
        ({"income": -7.0}, "income", 0),
        ({"amount": 1.0, "income": 1999.0}, "ratio", 1),
        ({"purpose": "auto"}, "purpose", 0),
        ({"purpose": " Boat"}, "purpose", 1),
        ({"purpose": "yacht"}, "purpose", 3),
        ({"purpose": ""}, "purpose", 2),
        ({"purpose": None}, "purpose", 2),
        ({"owner": False}, "owner", 1),
        ({"owner": None}, "owner", 2),
    ],
)
def test_every_value_has_its_bin(change: dict[str, object], feature: str, bin_: int) -> None:
    place = [it.feature for it in CARD.characteristics].index(feature)
    assert compile_card(CARD).score(PLAIN | change).bins[place] == bin_


def test_only_what_was_known_before_the_application_counts() -> None:
    lines = [
        {"customer": "x", "at": day, "balance": 5.0} for day in (date(2024, 4, 30), date(2024, 5, 1), date(2023, 1, 1))
    ]
    scorer = compile_card(CARD)
    assert scorer.score(PLAIN, histories={"bureau": lines}).bins[-1] == 1
    assert scorer.score(PLAIN).bins[-1] == 0


@pytest.mark.parametrize("wrong", [{"income": "1500"}, {"owner": 1.0}, {"purpose": 3.0}, {"income": True}])
def test_a_value_of_another_type_is_refused_by_the_name_of_its_column(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(TapeError, match=name) as caught:
        compile_card(CARD).score(PLAIN | wrong)
    assert "1500" not in str(caught.value)


def test_a_column_that_is_absent_is_named() -> None:
    with pytest.raises(TapeError, match="income"):
        compile_card(CARD).score({name: value for name, value in PLAIN.items() if name != "income"})


SIMPLE = CARD.model_copy(
    update={"characteristics": tuple(it for it in CARD.characteristics if it.feature in ("income", "purpose"))}
)


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(-3000, 3000) | st.sampled_from([-1.0, 1000.0, 2000.0, -0.0]),
            st.none() | st.sampled_from(["car", "home", "boat", "yacht"]),
        ),
        max_size=30,
    )
)
def test_columns_and_single_applications_score_alike(rows: list[tuple[float | None, str | None]]) -> None:
    scorer = compile_card(SIMPLE)
    single = [scorer.score({"income": income, "purpose": purpose}) for income, purpose in rows]
    names = ("boat", "car", "home", "yacht")
    columns = {
        "income": np.array([np.nan if income is None or income == -99 else income for income, _ in rows]),
        "purpose": Levels(np.array([-1 if p is None else names.index(p) for _, p in rows], dtype=np.int32), names),
    }
    whole = score_columns(SIMPLE, columns, rows=len(rows))
    assert whole.score.tolist() == [each.score for each in single]
    assert whole.pd.tolist() == [each.pd for each in single]
    assert [SIMPLE.bands[at].name for at in whole.band] == [each.band for each in single]


@given(st.integers(499_000, 503_000))
def test_a_score_lies_in_one_band_whichever_way_it_is_asked(score: int) -> None:
    assert CARD.bands[int(assign_bands(CARD, np.array([score]))[0])].name == CARD.band_of(score)


def test_a_card_survives_being_written_down() -> None:
    again = parse_card(CARD.to_json())
    assert again == CARD
    assert again.sha256 == CARD.sha256
    assert again.to_json() == CARD.to_json()


def spoilt(*path: str | int, to: object) -> bytes:
    plain = json.loads(CARD.to_json())
    place = plain
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return json.dumps(plain).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"\x80\x04K\x01.", "not JSON"),
        (CARD.to_json()[:-40], "not JSON"),
        (b'{"name": "a", "name": "b"}', "stands twice"),
        (CARD.to_json().replace(b'"base_points": 500000', b'"base_points": NaN'), "NaN"),
        (CARD.to_json().replace(b'"base_points": 500000', b'"base_points": 1e400'), "base_points"),
        (spoilt("colour", to=1), "colour"),
        (
            b'{"schema": "obligor/evaluation/1", "aims": {}}',
            "schema: got 'obligor/evaluation/1', wanted 'obligor/scorecard/1'",
        ),
        (spoilt("base_points", to=1.5), "base_points"),
        (spoilt("base_points", to="500000"), "base_points"),
        (spoilt("characteristics", 0, "cuts", to=[2000.0, 1000.0]), "overlap"),
        (spoilt("characteristics", 0, "cuts", to=[1000.0]), "gap"),
        (spoilt("characteristics", 2, "groups", to=[["car"], ["car", "boat"]]), "overlap"),
        (spoilt("characteristics", 2, "groups", to=[[], ["boat"]]), "gap"),
        (spoilt("characteristics", 0, "bins", to=[]), "gap"),
        (spoilt("characteristics", 0, "feature", to="salary"), "neither a column nor a feature"),
        (spoilt("characteristics", 1, "feature", to="income"), "stands twice"),
        (spoilt("pd", "pds", to=[0.1, 0.2, 0.5]), "never rise"),
        (spoilt("pd", "scores", to=[1, 1, 2]), "rise"),
        (spoilt("bands", 0, "score_min", to=None), "score_min"),
        (spoilt("bands", 0, "score_min", to=1), "overlap"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(CardError, match=message):
        parse_card(data)
