"""A card as one Python file says of every application what the scorer in process says, and needs nothing for it."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_card_sql import ODD, nasty_rows, odd_card
from tests.core.test_scorer import CARD, characteristic
from tests.core.test_scorer import bins as bins_of
from tests.models.test_smooth import card_of, frame, offered

from obligor.core.columns import Feature
from obligor.core.errors import CardError, InvalidInputError, TapeError
from obligor.core.reasons import compile_reasons
from obligor.core.scorer import compile_card
from obligor.models.smooth import fit_smooth_card
from obligor.serving.scoring.card_python import card_module

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.core.reasons import Explainer
    from obligor.core.scorecard import Scorecard
    from obligor.core.scorer import Scorer

BREAKING = 'a\n"""\'\\\r# \u2028{x}\x00; import os'


def every_kind() -> Scorecard:
    """A card with a column of every type, features of every kind of constant, and names that would break out of a literal."""
    card = CARD.model_dump(mode="json", by_alias=True)
    made = type(CARD).model_validate(card, strict=False)
    features = {
        "ratio": Feature(expression="amount / income"),
        "known": Feature(expression="CASE WHEN LOWER(purpose) IN ('car', 'it''s') THEN 'é' ELSE TRIM(purpose) END"),
        "age": Feature(expression="full_months(applied_on, DATE '2020-02-29')"),
        "again": Feature(expression="GREATEST(ratio, 1) + CASE WHEN owner THEN 1 ELSE FLOOR(amount) END"),
    }
    more = (
        characteristic("known", kind="category", groups=(("é",), (BREAKING, "x")), bins=bins_of(9, -9, 4, 5)),
        characteristic("age", kind="numeric", cuts=(-3.0, 12.0, 40.0), bins=bins_of(1, 2, 3, 4, 5)),
        characteristic("again", kind="numeric", cuts=(2.0, 3e4), bins=bins_of(70, 80, 90, 100)),
    )
    kept = tuple(it for it in made.characteristics if it.feature != "lines") + more
    told = {"reference": 50, "reason": BREAKING, "reason_missing": "not known"}
    kept = tuple(it.model_copy(update=told | {"family": "f" if it.feature[0] == "a" else ""}) for it in kept)
    return made.model_copy(update={"histories": {}, "features": features, "characteristics": kept, "name": BREAKING})


CARD_OF_EVERY_KIND = every_kind()


def loaded(card: Scorecard, **wanted: Any) -> ModuleType:
    module = ModuleType("scorer")
    exec(compile(card_module(card, **wanted), "scorer.py", "exec"), module.__dict__)  # noqa: S102  it is what is tested
    return module


@dataclass(frozen=True)
class InProcess:
    """The compiled scorer of a card, saying what it says as the file does."""

    card: Scorecard
    scorer: Scorer
    explainer: Explainer

    def says(self, application: dict[str, Any], *, most: int = 4) -> dict[str, Any]:
        one = self.scorer.score(application)
        return {
            "score": one.score / 1000,
            "score_thousandths": one.score,
            "pd": one.pd,
            "band": one.band,
            "bins": {it.feature: code for it, code in zip(self.card.characteristics, one.bins, strict=True)},
            "reasons": [it._asdict() for it in self.explainer.explain(one.bins, most=most)],
        }


def in_process(card: Scorecard) -> InProcess:
    return InProcess(card, compile_card(card), compile_reasons(card))


def run(module: Path, given: str | bytes, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run the file with neither site packages nor environment."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(module), *arguments],
        input=given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


SCORER, KNOWN = loaded(CARD_OF_EVERY_KIND), in_process(CARD_OF_EVERY_KIND)
NUMBERS = (
    st.none() | st.floats() | st.integers() | st.decimals() | st.sampled_from([-1.0, -99, 1000.0, 2000, Decimal(-1)])
)


@given(
    st.fixed_dictionaries(
        {
            "income": NUMBERS,
            "amount": NUMBERS,
            "purpose": st.none() | st.text() | st.sampled_from(["CAR ", " auto", "home", "boat", "It's", BREAKING]),
            "owner": st.none() | st.booleans(),
            "applied_on": st.none() | st.dates(),
        }
    )
)
def test_any_application_is_scored_as_in_process(application: dict[str, Any]) -> None:
    assert SCORER.score(application) == KNOWN.says(application)


def test_families_pairs_codes_and_odd_names_are_scored_as_in_process(tmp_path: Path) -> None:
    columns, rows = frame(6000)
    paired = card_of(fit_smooth_card(offered(), columns, rows), rows)
    plain = ("loan", "income", "age_of_file", "housing")
    for card, names in ((paired, plain), (odd_card(), (ODD[3], *ODD[:3]))):
        applications = [dict(zip(names, row, strict=True)) for row in nasty_rows(card, names, count=600)]
        (tmp_path / "scorer.py").write_text(card_module(card, reasons=6))
        code, answers, _ = run(tmp_path / "scorer.py", "\n".join(json.dumps(it) for it in applications))
        assert code == 0
        known = in_process(card)
        for given_, answer in zip(applications, answers, strict=True):
            own = {name: given_[name] for name in known.scorer.inputs}
            assert answer == {"identifiers": {names[0]: given_[names[0]]}} | known.says(own, most=6)


def test_the_file_needs_nothing_and_does_nothing_but_score() -> None:
    text = card_module(CARD_OF_EVERY_KIND)
    assert text.isascii()
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {it.module for it in ast.walk(tree) if isinstance(it, ast.ImportFrom)}
    imported |= {name.name for it in ast.walk(tree) if isinstance(it, ast.Import) for name in it.names}
    assert imported <= {*sys.stdlib_module_names}
    assert not imported & {"os", "subprocess", "socket", "pickle", "importlib", "ctypes"}
    called = {it.id for it in ast.walk(tree) if isinstance(it, ast.Name)}
    assert not called & {"eval", "exec", "compile", "open", "__import__", "globals", "getattr"}
    assert f"\n{CARD_OF_EVERY_KIND.sha256}." in text.partition('"""\n')[0]


def test_what_an_author_wrote_stays_within_its_quotes() -> None:
    """Every line but the literals is the same whatever the names and texts are."""
    tree, tame = (
        ast.parse(card_module(CARD_OF_EVERY_KIND.model_copy(update={"name": name}))) for name in (BREAKING, "tame")
    )
    assert sum(1 for _ in ast.walk(tree)) == sum(1 for _ in ast.walk(tame))
    module = loaded(CARD_OF_EVERY_KIND)
    assert module.CARD["name"] == BREAKING
    assert module.TEXTS[0][0] == BREAKING


def test_the_same_card_gives_the_same_file(tmp_path: Path) -> None:
    """The order of a set of texts differs from process to process."""
    (tmp_path / "card.json").write_bytes(CARD_OF_EVERY_KIND.to_json())
    code = (
        "import sys; from obligor.core.scorecard import parse_card; "
        "from obligor.serving.scoring.card_python import card_module; "
        "sys.stdout.write(card_module(parse_card(open(sys.argv[1], 'rb').read())))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "card.json")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        )
        assert done.stdout == card_module(CARD_OF_EVERY_KIND)


def test_an_application_that_does_not_fit_is_told_by_the_name_of_its_column() -> None:
    plain = {"income": 1.0, "amount": 2.0, "purpose": "car", "owner": True, "applied_on": date(2024, 5, 1)}
    for change, message in [
        ({"income": "1500"}, "column 'income': expected a number, got str"),
        ({"owner": 1}, "column 'owner': expected a bool, got int"),
    ]:
        with pytest.raises(SCORER.TapeError, match=message):
            SCORER.score(plain | change)
        with pytest.raises(TapeError, match=message):
            KNOWN.says(plain | change)
    with pytest.raises(SCORER.TapeError, match="no column 'amount'"):
        SCORER.score({name: value for name, value in plain.items() if name != "amount"})


def written(*rows: dict[str, object], fields: list[str] | None = None) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, fields or list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


PLAIN = {
    "customer": "x\ny",
    "income": "1500",
    "amount": " 3e3",
    "purpose": "CAR ",
    "owner": "Yes",
    "applied_on": "2024-05-01",
}


def test_csv_and_json_say_the_same_in_any_order_of_columns(tmp_path: Path) -> None:
    module = tmp_path / "scorer.py"
    module.write_text(card_module(CARD_OF_EVERY_KIND))
    typed = {"customer": "x\ny", "income": 1500, "amount": 3000.0, "purpose": "CAR ", "owner": True}
    typed["applied_on"] = "2024-05-01"
    wanted = KNOWN.says({**typed, "applied_on": date(2024, 5, 1)})
    blank = dict.fromkeys(PLAIN, "")
    code, answers, _ = run(module, json.dumps(typed))
    assert (code, answers) == (0, [{"identifiers": {"customer": "x\ny"}} | wanted])
    for fields in (list(PLAIN), list(PLAIN)[::-1]):
        code, answers, _ = run(
            module, "\ufeff" + written(PLAIN, blank, PLAIN | {"income": "-99"}, fields=fields), "--csv"
        )
        assert code == 0
        assert answers[0] == {"identifiers": {"customer": "x\ny"}} | wanted
        assert answers[1]["bins"]["income"] == answers[2]["bins"]["income"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"income": "Jane Doe"}, "column 'income' cannot be read; wanted a number"),
        ({"income": "1_000"}, "column 'income' cannot be read; wanted a number"),
        ({"owner": "perhaps"}, "column 'owner' cannot be read; wanted true or false"),
        ({"applied_on": "05/01/2024"}, "column 'applied_on' cannot be read; wanted a date, YYYY-MM-DD"),
        ({"applied_on": "2023-02-29"}, "column 'applied_on' cannot be read"),
    ],
)
def test_a_cell_that_cannot_be_read_costs_its_own_line_only(
    change: dict[str, str], message: str, tmp_path: Path
) -> None:
    module = tmp_path / "scorer.py"
    module.write_text(card_module(CARD_OF_EVERY_KIND))
    code, answers, _ = run(module, written(PLAIN, PLAIN | change, PLAIN), "--csv")
    assert code == 1
    assert message in answers[1]["error"]
    assert "application 2" in answers[1]["error"]
    assert not any(value in answers[1]["error"] for value in change.values())
    assert "score" in answers[0]
    assert answers[0] == answers[2]


@pytest.mark.parametrize(
    ("given_", "arguments", "code", "message"),
    [
        ("", ["--csv"], 2, "has the column 'income' 0 times"),
        ("income,amount,purpose,owner\n", ["--csv"], 2, "has the column 'applied_on' 0 times"),
        ("income,income,amount,purpose,owner,applied_on\n", ["--csv"], 2, "has the column 'income' 2 times"),
        (b"\xff\xfe", ["--csv"], 2, "is not UTF-8"),
        ("", ["--colour"], 2, "wanted applications on standard input"),
        (written(PLAIN) + "x,1\n", ["--csv"], 1, "has more or fewer fields"),
        (written(PLAIN) + "x,1,2,car,yes,2024-01-01,more\n", ["--csv"], 1, "has more or fewer fields"),
        ("[1]\n", [], 1, "is no JSON object"),
        ("[" * 100_000, [], 1, "is no JSON object"),
        ('{"income": 1}\n', [], 1, "the application has no column 'purpose'"),
    ],
)
def test_what_is_wrong_with_the_input_is_told(
    given_: str | bytes, arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    module = tmp_path / "scorer.py"
    module.write_text(card_module(CARD_OF_EVERY_KIND))
    got, answers, error = run(module, given_, *arguments)
    assert got == code
    assert message in (error if code == 2 else answers[-1]["error"])
    assert "Traceback" not in error


def test_a_card_that_cannot_be_written_so_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'lines' reads the history 'bureau'"):
        card_module(CARD)
    bare = CARD_OF_EVERY_KIND.model_copy(
        update={
            "characteristics": tuple(
                it.model_copy(update={"reference": None}) for it in CARD_OF_EVERY_KIND.characteristics
            )
        }
    )
    with pytest.raises(CardError, match="no reference mean"):
        card_module(bare)
    assert loaded(bare, reasons=0).score(dict.fromkeys(KNOWN.scorer.inputs))["reasons"] == []
