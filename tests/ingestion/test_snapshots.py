from __future__ import annotations

import errno
import gzip
import json
import resource
import shutil
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obligor.core.errors import SourceError, TapeError, UnavailableError
from obligor.core.snapshot import NumberForm, Snapshot, TableRequest, identity
from obligor.ingestion.formats import first_record
from obligor.ingestion.snapshots import load_snapshot, take_snapshot
from obligor.ingestion.sources import LocalSource, RawFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obligor.ingestion.sources import Advance

TAPE = b"loan_id,income\n1,52000\n2,31000\n"
LOANS = TableRequest("applications", columns=("loan_id", "income"))
GERMAN = (*(f"attribute_{i}" for i in range(1, 21)), "class")


class FakeSource:
    """A source that gives the bytes it was made with, or fails after half of them."""

    def __init__(self, *parts: bytes, failure: BaseException | None = None, described: bool = False) -> None:
        self._parts, self._failure, self._described = parts, failure, described
        self.closed = 0

    def describe(self) -> str:
        return "fake"

    def fetch(self, _: TableRequest, into: Path, *, progress: Advance) -> tuple[RawFile, ...]:
        raws = []
        for index, data in enumerate(self._parts):
            path = into / str(index)
            path.write_bytes(data)
            progress(len(data))
            raws.append(RawFile(path, f"part {index}", described=self._described))
        if self._failure is not None:
            raise self._failure
        return tuple(raws)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "tape.csv"
    path.write_bytes(TAPE)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "data" / "raw"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- the name of a snapshot --------------------------------------------------------------------------------------


@given(parts=st.lists(st.binary(max_size=20).map(TAPE.__add__), min_size=1, max_size=3))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_bytes_have_the_same_name_and_round_trip(tmp_path: Path, parts: list[bytes]) -> None:
    parts = [part.replace(b"\0", b"0") for part in parts]
    first = take_snapshot(FakeSource(*parts), [LOANS], store=tmp_path / "one")
    again = take_snapshot(FakeSource(*parts), [LOANS], store=tmp_path / "two")
    assert first.sha256 == again.sha256 == identity(first.files)
    assert load_snapshot(tmp_path / "one" / first.sha256) == first
    assert [file.path.read_bytes() for file in first.files] == parts


def test_the_name_is_of_the_content_and_not_of_the_file(tape: Path, store: Path) -> None:
    renamed = tape.with_name("loans_of_may.txt")
    shutil.copy(tape, renamed)
    first = take_snapshot(LocalSource(tape), [LOANS], store=store)
    second = take_snapshot(LocalSource(renamed), [LOANS], store=store)
    assert first.sha256 == second.sha256
    assert (first.source, second.source) == (str(tape), str(renamed))
    assert _names(store) == [first.sha256]


def test_one_byte_the_order_of_parts_and_the_way_of_reading_change_the_name(tmp_path: Path) -> None:
    other = TAPE.replace(b"31000", b"31001")
    semicolons = TableRequest("applications", delimiter=";")
    taken = [
        take_snapshot(FakeSource(TAPE), [LOANS], store=tmp_path),
        take_snapshot(FakeSource(other), [LOANS], store=tmp_path),
        take_snapshot(FakeSource(TAPE, other), [LOANS], store=tmp_path),
        take_snapshot(FakeSource(other, TAPE), [LOANS], store=tmp_path),
        take_snapshot(FakeSource(TAPE), [semicolons], store=tmp_path),
    ]
    assert len({snapshot.sha256 for snapshot in taken}) == len(taken)


def test_marks_of_numbers_belong_to_a_text_file_that_no_database_wrote(tmp_path: Path, store: Path) -> None:
    """PostgreSQL and Parquet write numbers in one way, whatever the contract says of a file; without marks a name stays."""
    asked = replace(LOANS, numbers=NumberForm(",", "."))
    plain, marked = (take_snapshot(FakeSource(TAPE), [it], store=store) for it in (LOANS, asked))
    assert marked.files[0].numbers == load_snapshot(store / marked.sha256).files[0].numbers == NumberForm(",", ".")
    assert plain.sha256 != marked.sha256
    assert take_snapshot(FakeSource(TAPE, described=True), [asked], store=store).sha256 == plain.sha256
    path = tmp_path / "tape.parquet"
    pq.write_table(pa.table({"loan_id": [1], "income": [1.5]}), path)
    (file,) = take_snapshot(LocalSource(path), [asked], store=store).files
    assert file.numbers == NumberForm()


def test_the_order_in_which_tables_are_asked_for_does_not_matter(tmp_path: Path) -> None:
    bureau = TableRequest("bureau")
    one = take_snapshot(FakeSource(TAPE), [LOANS, bureau], store=tmp_path)
    assert take_snapshot(FakeSource(TAPE), [bureau, LOANS], store=tmp_path) == one
    assert [file.table for file in one.files] == ["applications", "bureau"]
    with pytest.raises(SourceError, match="no table 'repayments'; it holds applications, bureau"):
        one.table("repayments")


# --- what is kept ------------------------------------------------------------------------------------------------


def test_a_snapshot_is_kept_whole_read_only_and_with_its_manifest(tape: Path, store: Path) -> None:
    at = datetime(2024, 2, 29, 12, tzinfo=UTC)
    snapshot = take_snapshot(LocalSource(tape), [LOANS], store=store, taken_at=at)
    folder = store / snapshot.sha256
    assert _names(folder) == ["0000-applications.csv", "manifest.json"]
    assert all(path.stat().st_mode & 0o222 == 0 for path in folder.iterdir())
    (file,) = snapshot.table("applications")
    assert file.path.is_absolute()
    assert file.path.read_bytes() == TAPE
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["taken_at"] == "2024-02-29T12:00:00+00:00"
    assert manifest["files"][0]["path"] == "0000-applications.csv"
    assert manifest["files"][0]["name"] == "tape.csv"
    assert (folder / "manifest.json").read_bytes() == json.dumps(
        manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def test_a_kept_file_bears_its_true_extension(tmp_path: Path, store: Path) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_bytes(gzip.compress(TAPE, mtime=0))
    (file,) = take_snapshot(LocalSource(tape), [LOANS], store=store).files
    assert file.path.name == "0000-applications.csv.gz"


def test_the_source_may_change_afterwards(tape: Path, store: Path) -> None:
    snapshot = take_snapshot(LocalSource(tape), [LOANS], store=store)
    tape.write_bytes(b"something else")
    assert load_snapshot(store / snapshot.sha256) == snapshot


def test_taking_a_tape_twice_verifies_what_is_kept(tape: Path, store: Path) -> None:
    first = take_snapshot(LocalSource(tape), [LOANS], store=store)
    manifest = (store / first.sha256 / "manifest.json").stat()
    assert take_snapshot(LocalSource(tape), [LOANS], store=store) == first
    assert (store / first.sha256 / "manifest.json").stat() == manifest
    first.files[0].path.chmod(0o600)
    first.files[0].path.write_bytes(TAPE.replace(b"31000", b"91000"))
    with pytest.raises(SourceError, match=r"0000-applications.csv was altered: wanted SHA-256 .*, got "):
        take_snapshot(LocalSource(tape), [LOANS], store=store)


def test_two_runs_that_take_the_same_tape_at_once_share_one_snapshot(tape: Path, store: Path) -> None:
    class Racing(LocalSource):
        """While its tape is on the way, another run finishes first."""

        def describe(self) -> str:
            take_snapshot(LocalSource(tape), [LOANS], store=store)
            return super().describe()

    snapshot = take_snapshot(Racing(tape), [LOANS], store=store)
    assert _names(store) == [snapshot.sha256]


def test_a_source_is_let_go_of_whatever_happens(store: Path) -> None:
    good, bad = FakeSource(TAPE), FakeSource(TAPE, failure=RuntimeError("no"))
    take_snapshot(good, [LOANS], store=store)
    with pytest.raises(RuntimeError):
        take_snapshot(bad, [LOANS], store=store)
    assert (good.closed, bad.closed) == (1, 1)


def test_the_bytes_that_arrive_are_told(store: Path) -> None:
    arrived: list[int] = []
    take_snapshot(FakeSource(TAPE, TAPE), [LOANS], store=store, progress=arrived.append)
    assert arrived == [len(TAPE)] * 2


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SourceError("gone"), RuntimeError("odd")])
def test_an_interrupted_snapshot_leaves_nothing(store: Path, failure: BaseException) -> None:
    with pytest.raises(type(failure)):
        take_snapshot(FakeSource(TAPE, failure=failure), [LOANS], store=store)
    assert _names(store) == []


def test_a_disk_that_fills_up_leaves_nothing(store: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(UnavailableError, match=r"cannot be kept in .*: the disk is full; nothing was written"):
        take_snapshot(FakeSource(TAPE, failure=full), [LOANS], store=store)
    assert _names(store) == []


@contextmanager
def _files_no_larger_than(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_real_write_that_fails_leaves_nothing(tmp_path: Path, store: Path) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_bytes(TAPE + b"3,4\n" * 100_000)
    with (
        _files_no_larger_than(100_000),
        pytest.raises(UnavailableError, match="a file grew too large; nothing was written"),
    ):
        take_snapshot(LocalSource(tape), [LOANS], store=store)
    assert _names(store) == []


def test_a_store_that_cannot_be_made_is_named(tape: Path) -> None:
    with pytest.raises(UnavailableError, match=r"tape.csv: File exists"):
        take_snapshot(LocalSource(tape), [LOANS], store=tape)


@pytest.mark.parametrize(
    ("data", "error"), [(b"", SourceError), (b"loan_id,loan_id,income\n", SourceError), (b"loan_id\n1\n", TapeError)]
)
def test_a_tape_that_cannot_be_used_is_not_kept(store: Path, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match="part 0"):
        take_snapshot(FakeSource(data), [LOANS], store=store)
    assert _names(store) == []


@pytest.fixture
def kept(tape: Path, store: Path) -> Snapshot:
    snapshot = take_snapshot(LocalSource(tape), [LOANS], store=store)
    for path in (store / snapshot.sha256).iterdir():
        path.chmod(0o600)
    return snapshot


def test_a_kept_file_that_was_cut_short_is_refused(kept: Snapshot) -> None:
    kept.files[0].path.write_bytes(TAPE[:-3])
    with pytest.raises(SourceError, match=f"wanted {len(TAPE)} bytes, got {len(TAPE) - 3}"):
        load_snapshot(kept.files[0].path.parent)


def test_a_kept_file_that_is_gone_is_named(kept: Snapshot) -> None:
    kept.files[0].path.unlink()
    with pytest.raises(SourceError, match=r"0000-applications.csv is gone"):
        load_snapshot(kept.files[0].path.parent)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"delimiter":","', b'"delimiter":";"', "was altered: its files make"),
        (b'"bytes":', b'"byte":', "was altered: files.0: lacks the key 'bytes'"),
        (b"obligor/snapshot/1", b"obligor/snapshot/9", "schema 'obligor/snapshot/9'"),
        (b"{", b"", "was altered: is not JSON"),
    ],
)
def test_an_altered_manifest_is_refused(kept: Snapshot, old: bytes, new: bytes, message: str) -> None:
    manifest = kept.files[0].path.with_name("manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(old, new, 1))
    with pytest.raises(SourceError, match=message):
        load_snapshot(manifest.parent)


def test_a_folder_under_another_name_is_no_snapshot(kept: Snapshot, store: Path, tmp_path: Path) -> None:
    moved = (store / kept.sha256).rename(store / ("0" * 64))
    with pytest.raises(SourceError, match="was altered"):
        load_snapshot(moved)
    with pytest.raises(SourceError, match=r"is not a snapshot: it has no manifest.json"):
        load_snapshot(tmp_path)


# --- real tapes --------------------------------------------------------------------------------------------------


def test_lending_club_is_kept_as_it_was_published(datasets: Path, store: Path) -> None:
    source = LocalSource(datasets / "lendingclub_2007_2011")
    request = TableRequest("applications", file="LoanStats3a*.csv.gz", columns=("loan_amnt", "loan_status", "issue_d"))
    (file,) = take_snapshot(source, [request], store=store).files
    assert (file.format, file.compression, file.delimiter, file.encoding) == ("csv", "gzip", ",", "utf-8")
    assert len(first_record(file)) == 146


def test_german_credit_has_no_header_and_spaces(datasets: Path, store: Path) -> None:
    source = LocalSource(datasets / "german_credit" / "german.data")
    request = TableRequest("applications", delimiter=" ", header=GERMAN, columns=("class",))
    snapshot = take_snapshot(source, [request], store=store)
    (file,) = snapshot.files
    assert file.bytes == 79_793
    assert file.header == GERMAN
    assert load_snapshot(store / snapshot.sha256) == snapshot


def test_home_credit_is_parted_by_tabs(datasets: Path, store: Path) -> None:
    source = LocalSource(datasets / "home_credit_partial")
    requests = [
        TableRequest("applications", file="application_train*.tsv.gz", columns=("SK_ID_CURR", "TARGET")),
        TableRequest("bureau", file="bureau_random20k.csv.gz", columns=("SK_ID_CURR",)),
    ]
    snapshot = take_snapshot(source, requests, store=store)
    assert [file.delimiter for file in snapshot.files] == ["\t", ","]
