from __future__ import annotations

import csv
import gzip
import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import SourceError, TapeError
from obligor.core.snapshot import SnapshotFile
from obligor.ingestion.formats import FileKind, check_columns, first_record, identify

if TYPE_CHECKING:
    from pathlib import Path

TAPE = "loan_id,income,purpose\n1,52000.5,car\n2,31000,home\n"


def _written(folder: Path, data: bytes | str, name: str = "tape.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _identified(path: Path, *, delimiter: str | None = None, header: tuple[str, ...] | None = None) -> SnapshotFile:
    kind = identify(path, path.name, delimiter=delimiter)
    return SnapshotFile(
        table="applications",
        path=path,
        format=kind.format,
        bytes=path.stat().st_size,
        sha256="",
        delimiter=kind.delimiter,
        encoding=kind.encoding,
        compression=kind.compression,
        header=header,
        name=path.name,
    )


def _parquet(folder: Path, name: str = "tape.parquet") -> Path:
    path = folder / name
    pq.write_table(pa.table({"loan_id": [1, 2], "income": [52000.5, 31000.0]}), path)
    return path


@given(
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    header=st.lists(
        st.text(st.characters(codec="latin-1", exclude_characters="\0"), min_size=1), min_size=2, unique=True
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_a_header_of_any_words_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, delimiter: str, header: list[str], encoding: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    writer.writerows([["1"] * len(header)] * 3)
    path = _written(tmp_path_factory.mktemp("tape"), text.getvalue().encode(encoding))
    assert first_record(_identified(path, delimiter=delimiter)) == tuple(header)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_tape_is_found_out(tmp_path: Path, delimiter: str) -> None:
    assert identify(_written(tmp_path, TAPE.replace(",", delimiter)), "tape").delimiter == delimiter


def test_decimal_commas_do_not_pass_for_delimiters(tmp_path: Path) -> None:
    path = _written(tmp_path, "id;rate;note\n1;0,15;a, b\n2;0,2;\n3;0,25;c, d, e\n")
    assert identify(path, "tape").delimiter == ";"


def test_commas_within_quotes_do_not_pass_for_delimiters(tmp_path: Path) -> None:
    path = _written(tmp_path, 'id|"income, monthly"\n1|"1,000"\n2|"2,000"\n')
    assert identify(path, "tape").delimiter == "|"


def test_a_tape_of_one_column_is_read_with_commas(tmp_path: Path) -> None:
    assert identify(_written(tmp_path, "loan_id\n1\n2\n"), "tape").delimiter == ","


def test_spaces_part_columns_only_where_the_contract_says_so(tmp_path: Path) -> None:
    path = _written(tmp_path, "A11 6\nA12 48\n")
    assert identify(path, "tape").delimiter == ","
    assert identify(path, "tape", delimiter=" ").delimiter == " "


@pytest.mark.parametrize("delimiter", ["||", "\\t", '"', "\n"])
def test_a_delimiter_that_is_no_single_character_is_refused(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(SourceError, match="wanted one character"):
        identify(_written(tmp_path, TAPE), "tape", delimiter=delimiter)


def test_line_breaks_in_a_quoted_header_survive(tmp_path: Path) -> None:
    path = _written(tmp_path, 'loan_id,"income\nper year","a ""b"""\r\n1,2,3\r\n')
    assert first_record(_identified(path)) == ("loan_id", "income\nper year", 'a "b"')


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = _written(tmp_path, TAPE.encode("utf-8-sig"))
    assert identify(path, "tape", encoding="latin-1").encoding == "utf-8"
    assert first_record(_identified(path))[0] == "loan_id"


def test_a_tape_that_is_not_utf8_to_its_last_row_is_latin1(tmp_path: Path) -> None:
    rows = "1,2,home\n" * 400_000  # past the first megabyte
    assert identify(_written(tmp_path, TAPE + rows + "9,9,é\n"), "tape").encoding == "utf-8"
    assert identify(_written(tmp_path, (TAPE + rows + "9,9,é\n").encode("latin-1")), "tape").encoding == "latin-1"


@pytest.mark.parametrize(
    ("row", "encoding"),
    [(b"M\xfcller", "latin-1"), (b"M\xfcller \x80 5", "windows-1252"), (b"\xfc\x80\x81", "latin-1")],
)
def test_what_latin1_has_no_letter_for_tells_of_windows(tmp_path: Path, row: bytes, encoding: str) -> None:
    assert identify(_written(tmp_path, TAPE.encode() + row + b",2,home\n"), "tape").encoding == encoding


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("cp1252", "windows-1252"), ("Windows-1250", "windows-1250"), ("latin2", "iso-8859-2"), ("l9", "iso-8859-15")],
)
def test_an_encoding_of_the_continent_can_be_declared(tmp_path: Path, declared: str, encoding: str) -> None:
    path = _written(tmp_path, "id,Łódź\n1,2\n".encode("cp1250"))
    assert identify(path, "tape", encoding=declared).encoding == encoding


def test_a_character_across_two_pieces_is_still_utf8(tmp_path: Path) -> None:
    text = TAPE + "x" * ((1 << 20) - len(TAPE) - 1) + "é\n"
    assert identify(_written(tmp_path, text), "tape").encoding == "utf-8"


def test_a_tape_declared_utf8_that_is_not_says_where(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"tape is not UTF-8: byte 10 .*\nHint: .*latin-1"):
        identify(_written(tmp_path, b"id,purpose\xe9\n1,2\n"), "tape", encoding="utf-8")


def test_latin1_can_be_declared(tmp_path: Path) -> None:
    assert identify(_written(tmp_path, "id,é\n1,2\n"), "tape", encoding="ISO-8859-1").encoding == "latin-1"


@pytest.mark.parametrize("encoding", ["cp1251", "utf-16", "klingon"])
def test_an_encoding_that_is_not_read_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(SourceError, match=f"'{encoding}'; wanted one of .*latin-1, utf-8, windows-1250, windows-1252"):
        identify(_written(tmp_path, TAPE), "tape", encoding=encoding)


def test_utf16_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"UTF-16; wanted UTF-8 or Latin-1\nHint: .*iconv"):
        identify(_written(tmp_path, TAPE.encode("utf-16")), "tape")


def test_the_first_bytes_count_and_not_the_extension(tmp_path: Path) -> None:
    gz = _written(tmp_path, gzip.compress(TAPE.encode(), mtime=0), "tape.csv")
    assert identify(gz, "tape") == FileKind("csv", "gzip", ",", "utf-8")
    zst = _written(tmp_path, zstandard.ZstdCompressor().compress(TAPE.encode()), "tape.gz")
    assert identify(zst, "tape") == FileKind("csv", "zstd", ",", "utf-8")
    plain = _written(tmp_path, TAPE, "tape.parquet")
    assert identify(plain, "tape") == FileKind("csv", "none", ",", "utf-8")
    parquet = _parquet(tmp_path, "tape.txt")
    assert identify(parquet, "tape") == FileKind("parquet", "none", None, None)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_packed_tapes_of_several_members_are_read_whole(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    path = _written(tmp_path, pack(TAPE.encode()) + pack("3,4,é\n".encode("latin-1")))
    kind = _identified(path)
    assert kind.encoding == "latin-1"
    assert first_record(kind) == ("loan_id", "income", "purpose")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_packed_tape_that_was_cut_short_is_refused(tmp_path: Path, pack: object, kept: float) -> None:
    assert callable(pack)
    data = pack("".join(f"{i},{i * i},x\n" for i in range(200_000)).encode())
    with pytest.raises(SourceError, match=r"not a whole (gzip|zstd) file"):
        identify(_written(tmp_path, data[: int(len(data) * kept)]), "tape")


def test_an_empty_tape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="tape is empty: 0 bytes; wanted a header line and rows"):
        identify(_written(tmp_path, b""), "tape")


@pytest.mark.parametrize("data", [b"\n\n \r\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_a_tape_without_a_word_is_empty(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SourceError, match="tape is empty"):
        identify(_written(tmp_path, data), "tape")


def test_a_tape_with_only_a_header_is_still_a_tape(tmp_path: Path) -> None:
    assert first_record(_identified(_written(tmp_path, "loan_id,income"))) == ("loan_id", "income")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04rest", "Excel"),
        (b"\xd0\xcf\x11\xe0rest", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"ab\0\0cd", "zero bytes"),
        (gzip.compress(b"PAR1 and more", mtime=0), "packed once more"),
    ],
)
def test_what_is_no_tape_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(SourceError, match=what):
        identify(_written(tmp_path, data), "tape")


def test_a_truncated_parquet_is_refused(tmp_path: Path) -> None:
    whole = _parquet(tmp_path)
    assert first_record(_identified(whole)) == ("loan_id", "income")
    cut = _written(tmp_path, whole.read_bytes()[:-20], "cut.parquet")
    with pytest.raises(SourceError, match=r"cut.parquet is not a whole Parquet file"):
        check_columns(_identified(cut), ())


def test_a_column_named_twice_is_refused_and_nameless_columns_are_not(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="names 'income', 'term' more than once"):
        check_columns(_identified(_written(tmp_path, "term,income,x,income,term\n")), ())
    check_columns(_identified(_written(tmp_path, "loan_id,income,,\n1,2,,\n")), ("income",))


def test_a_missing_column_is_named_with_its_likely_spelling(tmp_path: Path) -> None:
    file = _identified(_written(tmp_path, TAPE))
    with pytest.raises(
        TapeError, match=r"not the column 'Income' that the contract names\nHint: 'Income' may be 'income'"
    ):
        check_columns(file, ("loan_id", "Income"))
    with pytest.raises(TapeError, match="columns 'fico', 'term'"):
        check_columns(file, ("fico", "term"))


def test_a_wrong_delimiter_is_the_likely_cause_of_a_header_of_one_column(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="Hint: the whole header was read as one column"):
        check_columns(_identified(_written(tmp_path, TAPE), delimiter=";"), ("income",))


def test_a_header_from_the_contract_must_fit_the_first_row(tmp_path: Path) -> None:
    path = _written(tmp_path, "A11 6\nA12 48\n")
    check_columns(_identified(path, delimiter=" ", header=("status", "months")), ("months",))
    with pytest.raises(SourceError, match="first row has 2 fields, but the contract's header names 3"):
        check_columns(_identified(path, delimiter=" ", header=("status", "months", "amount")), ())


def test_a_quote_left_open_in_the_header_is_said(tmp_path: Path) -> None:
    path = _written(tmp_path, '"loan_id,income\n' + "1,2\n" * 500_000)
    with pytest.raises(SourceError, match="is a quote left open"):
        first_record(_identified(path, delimiter=","))


def test_a_header_longer_than_the_sniffed_part_is_read_whole(tmp_path: Path) -> None:
    names = tuple(f"characteristic_{i:05d}" for i in range(10_000))
    assert first_record(_identified(_written(tmp_path, ",".join(names) + "\n1,2\n"))) == names
