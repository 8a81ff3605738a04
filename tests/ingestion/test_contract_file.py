"""A contract file that is wrong says which line, what it got and what it wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from obligor.core.errors import ContractError
from obligor.ingestion.contract_file import load_contract, read_contract

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "configs" / "contracts").glob("*.yaml"))

TEXT = """\
schema: obligor/contract/1
name: small
applications:
  columns:
    income: {type: number, role: predictor}
    status:
      type: text
      role: outcome
outcome:
  window_months: 12
  status: {column: status, good: [paid], bad: [lost]}
split:
  random: {}
"""


def test_a_contract_is_read() -> None:
    assert read_contract(TEXT).predictors == ("income",)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_contract_is_sound_and_gives_each_predictor_a_reason(path: Path) -> None:
    contract = load_contract(path)
    assert contract.name == path.stem
    known = {**contract.columns, **contract.features}
    assert [name for name in contract.predictors if not known[name].reason] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("role: outcome", "role: outcme", "line 8: "),
        ("window_months: 12", "window_months: twelve", "line 10: outcome.window_months"),
        (
            "window_months: 12",
            "window_months: 12\n  window_months: 24",
            "line 11: the key 'window_months' stands twice",
        ),
        ("name: small", "name: small\ncolour: red", "line 3: colour: unknown key 'colour'"),
        ("name: small", "name: [small", "is not YAML"),
        ("name: small", "name: !!python/object/apply:os.system [ls]", "line 2: is not YAML of a contract"),
        ("name: small", "name: &a small", None),
        ("{column: status, good", "{column: sttus, good", "line 11: outcome.status.column: there is no column 'sttus'"),
        (
            "split:",
            "features:\n  made:\n    expression: incom * 2\nsplit:",
            "line 13: features.made:",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, message: str | None) -> None:
    text = TEXT.replace(old, new, 1)
    if message is None:
        read_contract(text)
        return
    with pytest.raises(ContractError) as caught:
        read_contract(text, name="small.yaml")
    assert message in str(caught.value)


def test_aliases_are_refused_so_that_a_small_file_stays_small() -> None:
    with pytest.raises(ContractError, match="alias"):
        read_contract("a: &a [1, 2]\nb: [*a, *a]\n")


@pytest.mark.parametrize(
    ("raw", "message"), [(b"", "empty"), (b"\xff\xfe", "UTF-8"), (b"- 1\n- 2\n", "got a list, wanted an object")]
)
def test_a_file_that_is_no_contract_is_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(raw)
    with pytest.raises(ContractError, match=message):
        load_contract(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="there is no such file"):
        load_contract(tmp_path / "nowhere.yaml")
