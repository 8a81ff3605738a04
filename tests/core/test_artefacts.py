"""A card, a policy or a profile is data that says one thing: all else under its name is refused, and nothing runs."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_policy import BY_CHANNEL_AND_AMOUNT, made, threshold
from tests.core.test_policy import plain as policy_plain
from tests.core.test_scorer import CARD, characteristic, spoilt
from tests.core.test_scorer import bins as bins_of

from obligor.core.errors import CardError, InvalidInputError
from obligor.core.policy import parse_policy
from obligor.core.profile import EVERYTHING_OFF, parse_profile
from obligor.core.reasons import check_reasons
from obligor.core.scorecard import Scorecard, parse_card
from obligor.core.strict_json import MOST_VALUES

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: dict[str, tuple[Callable[[bytes], Any], bytes, int]] = {
    "scorecard": (parse_card, CARD.to_json(), 64 << 20),
    "policy": (parse_policy, made(BY_CHANNEL_AND_AMOUNT).to_json(), 16 << 20),
    "profile": (parse_profile, EVERYTHING_OFF.to_json(), 1 << 20),
}
EVERY = pytest.mark.parametrize("kind", list(KINDS))


class Bomb:
    """A pickle of it would write a file when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.canary,))


def disguises(data: bytes, canary: Path) -> dict[str, bytes]:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", data)
        archive.writestr("bomb", b"0" * 10_000_000)
    return {
        "pickle": pickle.dumps(Bomb(canary)),
        "pickle as text": pickle.dumps(Bomb(canary), protocol=0),
        "pickle after the JSON": data + pickle.dumps(Bomb(canary)),
        "zip": zipped.getvalue(),
        "gzip": gzip.compress(data),
        "yaml": f'!!python/object/apply:pathlib.Path.touch ["{canary}"]'.encode(),
        "yaml as JSON": b'{"name": !!python/name:os.system }',
        "onnx": b"\x08\x07\x12\x0bskl2onnx",
        "python": f"__import__('pathlib').Path('{canary}').touch()".encode(),
        "twice": data + data,
    }


@EVERY
@pytest.mark.parametrize("disguise", list(disguises(b"", Path("x"))))
def test_what_only_pretends_to_be_json_is_refused_and_nothing_runs(kind: str, disguise: str, tmp_path: Path) -> None:
    parse, data, _ = KINDS[kind]
    canary = tmp_path / "canary"
    with pytest.raises(InvalidInputError, match=f"{kind}: is not JSON"):
        parse(disguises(data, canary)[disguise])
    assert not canary.exists()


@EVERY
def test_more_than_the_stated_size_is_refused_before_it_is_read(kind: str) -> None:
    parse, data, most = KINDS[kind]
    parse(data + b" " * 1000)
    with pytest.raises(InvalidInputError, match=f"{kind}: {most + 1} bytes are more than {most}"):
        parse(b" " * (most + 1))


@EVERY
def test_ten_million_values_are_refused_before_they_are_read(kind: str) -> None:
    parse, _, most = KINDS[kind]
    data = b'{"bins": [' + b"0," * min(10**7, most // 2 - 10) + b"0]}"
    words = f"holds more than {MOST_VALUES} values" if len(data) > 2 * MOST_VALUES else "bins|lacks the key"
    with pytest.raises(InvalidInputError, match=words):
        parse(data)


@EVERY
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_no_number_is_taken_that_json_does_not_know(kind: str, number: str) -> None:
    parse, data, _ = KINDS[kind]
    with pytest.raises(InvalidInputError, match=f"{kind}: {number} is not a number that JSON knows"):
        parse(data.replace(b"{", b'{"coefficient": %b,' % number.encode(), 1))


@EVERY
@settings(max_examples=20)
@given(indent=st.integers(0, 9), order=st.randoms(use_true_random=False))
def test_white_space_and_the_order_of_keys_are_nothing_to_the_hash(kind: str, indent: int, order: Any) -> None:
    parse, data, _ = KINDS[kind]

    def shuffled(it: Any) -> Any:
        if isinstance(it, dict):
            return {key: shuffled(it[key]) for key in order.sample(list(it), len(it))}
        return [shuffled(each) for each in it] if isinstance(it, list) else it

    again = json.dumps(shuffled(json.loads(data)), indent=indent).encode() + b"\n" * indent
    assert parse(again).sha256 == parse(data).sha256


@EVERY
def test_every_word_that_is_said_counts_for_the_hash(kind: str) -> None:
    parse, data, _ = KINDS[kind]
    assert parse(data.replace(b'"name": "', b'"name": "x', 1)).sha256 != parse(data).sha256


def test_a_coefficient_that_is_no_number_is_refused() -> None:
    for to in (None, "1", 1e400):
        with pytest.raises(CardError, match=r"characteristics.0.coefficient|is not a number"):
            parse_card(spoilt("characteristics", 0, "coefficient", to=to))
    text = CARD.to_json().replace(b'"coefficient": 1.0', b'"coefficient": 1e400', 1)
    with pytest.raises(CardError, match=r"characteristics.0.coefficient: got inf, wanted a finite number"):
        parse_card(text)


def with_trend(trend: str, points: tuple[int, ...], *, coefficient: float) -> Scorecard:
    own = characteristic("income", kind="numeric", cuts=(1.0, 2.0), bins=bins_of(*points, 99))
    own = own.model_copy(update={"trend": trend, "coefficient": coefficient})
    owner = CARD.characteristics[3]
    card = CARD.model_copy(update={"characteristics": (own, owner)})
    return parse_card(card.to_json())


@pytest.mark.parametrize(
    ("trend", "points", "coefficient"),
    [
        ("ascending", (9, 5, 5), 1.0),
        ("descending", (1, 1, 5), 1.0),
        ("descending", (9, 5, 5), -1.0),
        ("ascending", (3, 3, 3), 0.0),
        ("peak", (9, 1, 5), 1.0),
        ("free", (1, 9, 5), 1.0),
    ],
)
def test_points_that_run_as_their_trend_says_are_taken(trend: str, points: tuple[int, ...], coefficient: float) -> None:
    assert with_trend(trend, points, coefficient=coefficient).characteristics[0].trend == trend


@pytest.mark.parametrize(
    ("trend", "points", "coefficient", "words"),
    [
        ("ascending", (9, 5, 6), 1.0, "'income' runs against its trend, ascending.*the points rise after bin 1"),
        ("descending", (1, 0, 5), 1.0, "'income' runs against its trend, descending.*the points fall after bin 0"),
        ("ascending", (1, 5, 9), 1.0, "the points rise after bin 0"),  # the sign of the points was turned
        ("ascending", (9, 5, 1), -1.0, "the points fall after bin 0"),  # the sign of the coefficient was turned
    ],
)
def test_points_that_run_against_their_trend_or_their_sign_are_refused(
    trend: str, points: tuple[int, ...], coefficient: float, words: str
) -> None:
    with pytest.raises(CardError, match=words):
        with_trend(trend, points, coefficient=coefficient)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (spoilt("characteristics", 0, "cuts", to=[1000.0, 1000.0]), "overlap or stand out of order"),
        (spoilt("characteristics", 0, "cuts", to=[1000.0, 2000.0, 3000.0]), "has a gap: 5 bins have points, wanted 6"),
        (spoilt("characteristics", 0, "specials", to=[-1.0, -1.0]), "overlap"),
        (spoilt("characteristics", 0, "cuts", to=list(map(float, range(251)))), "at most 250"),
        (spoilt("characteristics", 0, "bins", to=[{}] * 251), r"characteristics.0.bins"),
        (spoilt("characteristics", 0, "bins", 1, "points", to=10**10), "points"),
        (spoilt("characteristics", to=[{}] * 1001), "characteristics"),
        (spoilt("characteristics", 2, "groups", to=[["car"], ["car"]]), "overlap: car stand in more than one bin"),
        (spoilt("schema", to="obligor/scorecard/2"), "schema"),
    ],
    ids=range(9),
)
def test_bins_that_overlap_gap_or_are_too_many_are_refused_by_their_rule(data: bytes, words: str) -> None:
    with pytest.raises(CardError, match=words):
        parse_card(data)


def test_levels_by_the_hundred_thousand_take_no_longer_than_they_must() -> None:
    levels = [f"level {at}" for at in range(200_000)]
    card = parse_card(spoilt("characteristics", 2, "groups", to=[levels, ["boat"]]))
    assert card.characteristics[2].binning.assign("level 7") == 0
    with pytest.raises(CardError, match="overlap: boat"):
        parse_card(spoilt("characteristics", 2, "groups", to=[[*levels, "boat"], ["boat"]]))


def test_thresholds_by_the_thousand_are_refused() -> None:
    rows = [threshold(segment=f"s{at}") for at in range(5000)]
    with pytest.raises(InvalidInputError, match="thresholds: got a list, wanted at most 5000 of them"):
        parse_policy(json.dumps(policy_plain([*rows, threshold()])).encode())


def test_a_bin_that_can_be_a_reason_and_has_no_text_is_told() -> None:
    whole = CARD.model_copy(
        update={"characteristics": tuple(it.model_copy(update={"reference": 5}) for it in CARD.characteristics)}
    )
    told = {it.feature for it in check_reasons(parse_card(whole.to_json()))}
    assert {"income", "ratio", "owner"} <= told


@pytest.mark.parametrize("role", ["protected", "leakage", "outcome", "incumbent_score"])
def test_nothing_that_decides_names_a_column_that_may_not(role: str) -> None:
    words = f"the column 'purpose' may not decide: its role is {role}"
    with pytest.raises(CardError, match=words):
        parse_card(spoilt("applications", "columns", "purpose", "role", to=[role]))
    columns = json.loads(CARD.to_json())["applications"]["columns"]
    columns["purpose"]["role"] = [role]
    with pytest.raises(InvalidInputError, match=words):
        parse_policy(json.dumps(policy_plain(columns=columns)).encode())


def test_a_protected_column_may_decide_where_the_contract_says_why() -> None:
    said = {"type": "text", "role": ["protected", "predictor"], "predictor_because": "the law asks for it"}
    parse_card(spoilt("applications", "columns", "purpose", to=said))
