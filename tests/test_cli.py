"""Bad input gets one clear message and the conventional exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import LenderRun

    Call = Callable[..., tuple[int, str, str]]

CONTRACT = """\
schema: obligor/contract/1
name: small
applications:
  columns:
    id: {type: text, role: identifier, privacy: direct}
    income: {type: number, role: predictor, min: 0, missing: [NA]}
    purpose: {type: text, role: predictor}
    applied_on: {type: date, role: applied_at, required: true}
    status: {type: text, role: outcome}
outcome:
  window_months: 12
  status: {column: status, good: [paid], bad: [lost]}
split:
  random: {seed: 1}
limits: {quarantined: 0.5, unparsed: 0.5}
model: {min_bads: 1, min_information_value: 0.0, max_p_value: 1.0}
"""
HEADER = "id,income,purpose,applied_on,status\n"


def rows(count: int = 300, **changed: str) -> str:
    """Write applications in which income speaks for the outcome."""
    lines = []
    for at in range(count):
        row = {
            "id": f"Jane Doe {at}",
            "income": str(1000 + 37 * at % 4000),
            "purpose": ["car", "home", "boat"][at % 3],
            "applied_on": f"202{at % 4}-0{1 + at % 9}-1{at % 9}",
            "status": "lost" if (at * 7919) % 4000 < 1600 - (37 * at % 4000) / 4 else "paid",
        } | {name: value.format(at=at) for name, value in changed.items()}
        lines.append(",".join(row.values()))
    return "\n".join(lines) + "\n"


@pytest.fixture
def call(run: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OBLIGOR_MLFLOW_URI", "off")
    monkeypatch.delenv("OBLIGOR_DEBUG", raising=False)
    return run


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(CONTRACT)
    return path


def test_a_small_tape_gives_a_card(call: Call, contract: Path, tmp_path: Path) -> None:
    (tmp_path / "tape.csv").write_text(HEADER + rows())
    code, out, err = call("run", tmp_path / "tape.csv", "--contract", contract, "--out", tmp_path / "out", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["accounting"]["used"] == 300
    code, out, _ = call(
        "score", tmp_path / "tape.csv", "--card", tmp_path / "out" / "scorecard.json", "--out", tmp_path / "s.parquet"
    )
    assert code == 0
    assert "300 applications scored" in out


@pytest.mark.parametrize(
    ("tape", "code", "message"),
    [
        ("", 2, "is empty"),
        (HEADER, 2, "no rows"),
        (HEADER.replace("income,", "") + "x,car,2020-01-01,paid\n", 2, "'income'"),
        (HEADER.replace("income", "incomes") + rows(), 2, "'income' may be 'incomes'"),
        (HEADER.replace("purpose", "income") + rows(), 2, "income"),
        (HEADER + rows(income=""), 2, "nothing to build a card on"),
        (HEADER + rows(status="paid"), 2, "bads"),
        (HEADER + rows(status="gone"), 2, "unknown_level"),
        (HEADER + rows(income="many"), 1, "unparsed"),
        (HEADER + rows(income="1e400"), 1, "income"),
        (HEADER + rows(income="inf"), 1, "income"),
        (HEADER + rows(applied_on="2021-02-29"), 1, "applied_on"),
        (HEADER + rows(applied_on="1969-02-28"), 0, ""),
        (HEADER + rows(purpose="level {at}"), 0, ""),
        (HEADER + rows() + "only,three,fields\n", 2, "line 302"),
        (HEADER + rows(income="-0.0"), 2, "nothing to build a card on"),
    ],
    ids=lambda value: value[-24:].strip() if isinstance(value, str) else str(value),
)
def test_what_is_wrong_with_a_tape_is_told(
    tape: str, code: int, message: str, call: Call, contract: Path, tmp_path: Path
) -> None:
    (tmp_path / "tape.csv").write_text(tape)
    got, out, err = call("run", tmp_path / "tape.csv", "--contract", contract, "--out", tmp_path / "out", "--quiet")
    assert got == code, err
    assert message in err
    assert "Traceback" not in err
    assert "Jane Doe" not in err + out
    assert (tmp_path / "out").exists() == (code == 0)
    got, out, checked = call("contract", "check", contract, "--tape", tmp_path / "tape.csv", "--quiet")
    if message == "nothing to build a card on":  # what only a fit can tell
        assert (got, checked) == (0, "")
    else:
        assert got == code, checked
        assert checked.endswith(err.removeprefix("obligor: "))  # below the failed checks, all that ends the run
    assert "Jane Doe" not in out + checked


def test_a_contract_is_held_against_the_samples_of_a_tape(call: Call, contract: Path, tmp_path: Path) -> None:
    text = contract.read_text()
    contract.write_text(text.replace("random: {seed: 1}", "time: {validation_from: 2022-01-01, test_from: 2024-06-01}"))
    (tmp_path / "tape.csv").write_text(HEADER + rows())
    code, _, err = call("contract", "check", contract, "--tape", tmp_path / "tape.csv")
    assert code == 2
    assert "test: wanted goods and bads in every sample, got train" in err
    contract.write_text(text)
    (tmp_path / "tape.csv").write_text(HEADER + rows(299) + rows(1, status="gone"))
    code, out, _ = call("contract", "check", contract, "--tape", tmp_path / "tape.csv")
    assert code == 0
    assert "critical: 'status' is none of the known categories in 1 rows" in out
    assert "299 used" in out
    assert "1 quarantined: " in out
    assert "\ntrain 179 loans with " in out


def test_a_truncated_parquet_is_refused(call: Call, contract: Path, lender_run: LenderRun, tmp_path: Path) -> None:
    whole = (lender_run.tape / "applications.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[: len(whole) // 2])
    code, _, err = call("run", tmp_path / "t.parquet", "--contract", contract, "--out", tmp_path / "out")
    assert code == 2
    assert "t.parquet" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nowhere.csv", "--contract", "{contract}", "--out", "{out}"), "nowhere.csv"),
        (("run", "ftp://host/t", "--contract", "{contract}", "--out", "{out}"), "ftp://"),
        (("run", "nowhere.csv", "--contract", "nowhere.yaml", "--out", "{out}"), "there is no such file"),
        (("score", "t.csv", "--card", "nowhere.json", "--out", "s.parquet"), "there is no such file"),
        (("score", "t.csv", "--card", "{contract}", "--out", "s.parquet"), "not JSON"),
        (("contract", "check", "nowhere.yaml"), "there is no such file"),
        (("simulate",), "--out"),
        (("run", "t.csv", "--colour", "red"), "--colour"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_wrong_arguments_exit_with_two(
    arguments: tuple[str, ...], message: str, call: Call, contract: Path, tmp_path: Path
) -> None:
    filled = [each.format(contract=contract, out=tmp_path / "out") for each in arguments]
    code, _, err = call(*filled)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_contract_is_checked_drafted_and_described(call: Call, contract: Path, tmp_path: Path) -> None:
    (tmp_path / "tape.csv").write_text(HEADER + rows())
    assert call("contract", "check", contract, "--tape", tmp_path / "tape.csv")[0] == 0
    code, out, _ = call("contract", "draft", tmp_path / "tape.csv")
    assert code == 0
    (tmp_path / "draft.yaml").write_text(out)
    assert call("contract", "check", tmp_path / "draft.yaml")[0] == 0
    code, out, _ = call("contract", "schema")
    assert json.loads(out)["title"] == "Contract"


def test_unseen_categories_and_values_out_of_range_are_scored_and_counted(
    call: Call, contract: Path, tmp_path: Path
) -> None:
    (tmp_path / "tape.csv").write_text(HEADER + rows())
    text = contract.read_text().replace("model: {", "model: {keep: [income, purpose], ")
    contract.write_text(text)
    assert call("run", tmp_path / "tape.csv", "--contract", contract, "--out", tmp_path / "out", "--quiet")[0] == 0
    (tmp_path / "new.csv").write_text(HEADER + rows(50, purpose="yacht", income="99999999"))
    card = tmp_path / "out" / "scorecard.json"
    code, out, err = call("score", tmp_path / "new.csv", "--card", card, "--out", tmp_path / "s.parquet", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert summary["rows"] == 50
    if "purpose" in card.read_text().split('"characteristics"')[1].split('"pd"')[0]:
        assert summary["unseen"] == {"purpose": 50}


def test_an_interrupted_run_exits_with_130_and_leaves_nothing(
    call: Call, contract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obligor.pipeline import evidence

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "tape.csv").write_text(HEADER + rows())
    monkeypatch.setattr(evidence, "write_quarantine", interrupted)
    code, _, err = call("run", tmp_path / "tape.csv", "--contract", contract, "--out", tmp_path / "out", "--quiet")
    assert code == 130
    assert "interrupted" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "small.yaml", "tape.csv"]


def test_a_full_disk_is_told_and_leaves_nothing(
    call: Call, contract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obligor.pipeline import evidence

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "tape.csv").write_text(HEADER + rows())
    monkeypatch.setattr(evidence, "write_quarantine", full)
    code, _, err = call("run", tmp_path / "tape.csv", "--contract", contract, "--out", tmp_path / "out", "--quiet")
    assert code == 1
    assert "disk is full" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "small.yaml", "tape.csv"]


def test_help_imports_nothing_heavy() -> None:
    heavy = ["numpy", "pandas", "duckdb", "pyarrow", "scipy", "sklearn", "numba", "pydantic", "mlflow", "rich", "yaml"]
    code = f"import sys, obligor.cli; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_where_there_is_no_terminal_a_step_is_one_line_and_nothing_is_loaded_to_draw_with() -> None:
    code = """
import sys
from obligor.cli.options import telling
with telling(quiet=False) as progress, progress.step("opening the store") as advance:
    advance(1.0)
print("rich" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (out.stdout, out.stderr) == ("False\n", "opening the store ...\n")


def test_a_card_is_written_as_sql(call: Call, contract: Path, lender_run: LenderRun, tmp_path: Path) -> None:
    (tmp_path / "tape.csv").write_text(HEADER + rows())
    assert call("run", tmp_path / "tape.csv", "--contract", contract, "--out", tmp_path / "out")[0] == 0
    card = tmp_path / "out" / "scorecard.json"
    code, out, _ = call("sql", card, "--dialect", "bigquery", "--table", "lending.applied")
    assert code == 0
    assert "FROM `lending`.`applied`" in out
    assert call("sql", card, "--out", tmp_path / "card.sql") == (0, "", "")
    assert (tmp_path / "card.sql").read_text().endswith(";\n")
    code, _, error = call("sql", card, "--table", "a..b")
    assert code == 2
    assert "--table: got 'a..b'" in error
    code, _, error = call("sql", lender_run.out / "scorecard.json")
    assert code == 2
    assert "reads the history" in error


def test_a_card_is_written_as_python(call: Call, contract: Path, lender_run: LenderRun, tmp_path: Path) -> None:
    (tmp_path / "tape.csv").write_text(HEADER + rows())
    assert call("run", tmp_path / "tape.csv", "--contract", contract, "--out", tmp_path / "out")[0] == 0
    card = tmp_path / "out" / "scorecard.json"
    assert call("python", card, "--out", tmp_path / "scorer.py") == (0, "", "")
    assert call("python", card)[1] == (tmp_path / "scorer.py").read_text()
    command = [sys.executable, "-I", "-S", str(tmp_path / "scorer.py"), "--csv"]
    done = subprocess.run(command, input=HEADER + rows(3), capture_output=True, text=True, check=True)
    assert [json.loads(line)["identifiers"] for line in done.stdout.splitlines()] == [
        {"id": f"Jane Doe {at}"} for at in range(3)
    ]
    code, _, error = call("python", lender_run.out / "scorecard.json")
    assert code == 2
    assert "reads the history" in error


def test_scoring_tells_a_column_that_is_absent_and_takes_any_order(call: Call, contract: Path, tmp_path: Path) -> None:
    text = contract.read_text().replace("model: {", "model: {keep: [income], ")
    contract.write_text(text)
    (tmp_path / "tape.csv").write_text(HEADER + rows())
    assert call("run", tmp_path / "tape.csv", "--contract", contract, "--out", tmp_path / "out", "--quiet")[0] == 0
    card = tmp_path / "out" / "scorecard.json"
    lines = [line.split(",") for line in (HEADER + rows()).splitlines()]
    (tmp_path / "turned.csv").write_text("\n".join(",".join(line[::-1]) for line in lines) + "\n")
    (tmp_path / "lacks.csv").write_text((HEADER + rows()).replace("income", "wages"))
    for name in ("tape", "turned"):
        arguments = ("--card", card, "--out", tmp_path / f"{name}.parquet", "--reasons", 4, "--bins", "--quiet")
        assert call("score", tmp_path / f"{name}.csv", *arguments)[0] == 0
    assert (tmp_path / "tape.parquet").read_bytes() == (tmp_path / "turned.parquet").read_bytes()
    code, _, error = call("score", tmp_path / "lacks.csv", "--card", card, "--out", tmp_path / "s.parquet", "--quiet")
    assert code == 2
    assert "'income'" in error
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("grpc", ("serve", "--quiet", "--port", "0", "--grpc-port", "0")),
        ("psycopg", ("keys", "list")),
        ("alembic", ("keys", "list")),
        ("duckdb", ("contract", "draft", "tape.csv")),
    ],
)
def test_what_is_not_installed_is_named(module: str, words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "tape.csv").write_text("id\n1\n")
    program = f"import sys; sys.modules[{module!r}] = None; from obligor.cli import main; main()"
    environ = {name: it for name, it in os.environ.items() if not name.startswith("OBLIGOR_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environ | {"OBLIGOR_DATA": str(tmp_path / "data")},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        f"obligor: this needs the module {module}, which is not installed",
        "Hint: install obligor[all]",
    ]
