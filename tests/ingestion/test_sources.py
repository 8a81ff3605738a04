from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from obligor.core.errors import SourceError
from obligor.core.snapshot import TableRequest
from obligor.ingestion.sources import LocalSource, copy_file, holds_data

if TYPE_CHECKING:
    from pathlib import Path

TAPE = b"loan_id,income\n1,2\n"


def _ignore(_: int) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tape of one table in three parts and another in one, with what else lies about in such folders."""
    folder = tmp_path / "tape"
    (folder / "bureau").mkdir(parents=True)
    for name in (
        "loans_2.csv",
        "loans_1.csv",
        "loans_10.csv.gz",
        "repayments.parquet",
        "bureau/part-0.csv",
        "bureau/_SUCCESS",
    ):
        (folder / name).write_bytes(name.encode())
    for name in (".loans_3.csv.swp", ".hidden.csv", "_loans.csv", "README.md", "dictionary.xlsx"):
        (folder / name).write_bytes(b"not a tape")
    return folder


def _fetched(path: Path, into: Path, file: str | None = None) -> list[str]:
    into.mkdir()
    raws = LocalSource(path).fetch(TableRequest("applications", file=file), into, progress=_ignore)
    return [raw.name for raw in raws]


def test_a_file_is_fetched_as_it_is_and_the_bytes_are_counted(tmp_path: Path) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_bytes(TAPE * 200_000)
    arrived: list[int] = []
    (raw,) = LocalSource(tape).fetch(TableRequest("applications"), tmp_path, progress=arrived.append)
    assert raw.name == "tape.csv"
    assert raw.path.read_bytes() == tape.read_bytes()
    assert sum(arrived) == tape.stat().st_size
    assert len(arrived) > 1


def test_the_copy_of_a_tape_is_no_link_to_it(tmp_path: Path) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_bytes(TAPE)
    copy = copy_file(tape, tmp_path / "copy", progress=_ignore)
    tape.write_bytes(b"edited later")
    assert copy.read_bytes() == TAPE
    assert not copy.is_symlink()
    assert copy.stat().st_nlink == 1


def test_the_part_files_of_a_folder_come_in_the_order_of_their_names(folder: Path, tmp_path: Path) -> None:
    assert _fetched(folder, tmp_path / "into") == [
        "loans_1.csv",
        "loans_10.csv.gz",
        "loans_2.csv",
        "repayments.parquet",
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("repayments.parquet", ["repayments.parquet"]),
        ("loans_*", ["loans_1.csv", "loans_10.csv.gz", "loans_2.csv"]),
        ("bureau", ["bureau/part-0.csv"]),
        ("bureau/*.csv", ["bureau/part-0.csv"]),
    ],
)
def test_the_tables_of_a_folder_are_found_by_name(folder: Path, tmp_path: Path, pattern: str, names: list[str]) -> None:
    assert _fetched(folder, tmp_path / "into", pattern) == names


def test_brackets_in_the_name_of_a_file_are_taken_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "loans[1].csv").write_bytes(TAPE)
    assert _fetched(tmp_path, tmp_path / "into", "loans[1].csv") == ["loans[1].csv"]


def test_a_single_file_serves_the_table_whose_name_fits_it(tmp_path: Path) -> None:
    tape = tmp_path / "german.data"
    tape.write_bytes(TAPE)
    assert _fetched(tape, tmp_path / "into", "german.*") == ["german.data"]
    with pytest.raises(SourceError, match=r"is one file, but the contract looks for 'bureau.csv'"):
        _fetched(tape, tmp_path / "again", "bureau.csv")


def test_a_tape_that_is_not_there_is_named_with_what_may_be_meant(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"loan_1.csv does not exist.*\nHint: did you mean .*loans_1.csv"):
        _fetched(folder / "loan_1.csv", tmp_path / "into")
    with pytest.raises(SourceError, match=r"no file 'repayment.parquet'; it holds .*\nHint: .*'repayments.parquet'"):
        _fetched(folder, tmp_path / "again", "repayment.parquet")


def test_a_folder_without_a_tape_says_what_was_wanted(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"nothing here")
    with pytest.raises(SourceError, match=r"holds no tape; wanted files ending in .csv"):
        _fetched(tmp_path, tmp_path / "into")


@pytest.mark.parametrize("pattern", ["../secret.csv", "/etc/passwd", "a/../../b"])
def test_a_contract_cannot_reach_outside_the_tapes_folder(folder: Path, tmp_path: Path, pattern: str) -> None:
    with pytest.raises(SourceError, match="inside the tape's folder"):
        _fetched(folder, tmp_path / "into", pattern)


def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        _fetched(tmp_path / "pipe", tmp_path / "into")


def test_a_tape_that_is_still_being_written_is_refused(tmp_path: Path) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_bytes(TAPE)

    def write_more(_: int) -> None:
        with tape.open("ab") as file:
            file.write(TAPE)
            file.truncate(len(TAPE) + 5)

    with pytest.raises(SourceError, match="changed while it was read"):
        copy_file(tape, tmp_path / "copy", progress=write_more)


@pytest.mark.parametrize("name", ["a.csv", "A.CSV.GZ", "a.tsv.zst", "german.data", "part-0.snappy.parquet"])
def test_files_of_a_tape_are_known_by_their_extension(name: str) -> None:
    assert holds_data(name)


@pytest.mark.parametrize("name", ["a.md", "a.xlsx", ".a.csv", "_SUCCESS", "a.gz", "csv"])
def test_other_files_of_a_folder_are_left_alone(name: str) -> None:
    assert not holds_data(name)
