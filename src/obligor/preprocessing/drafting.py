"""Proposes a contract from a tape, for a person to finish.

What can be counted is counted; what can only be guessed is marked `# check`, with the reason.
The tape is read as every run reads it, but with all its columns as texts.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from obligor.core.columns import Column, Table
from obligor.core.errors import TapeError
from obligor.preprocessing.column_profiles import profile_column
from obligor.preprocessing.drafts import Draft, scalar, write_draft
from obligor.preprocessing.guesses import (
    Guess,
    choose_applied_at,
    choose_exposure,
    choose_outcome,
    guess_role,
    may_be_an_outcome,
    may_be_codes,
    reason_to_leave_out,
    speaks_of_a_day,
)
from obligor.preprocessing.number_forms import guess_numbers
from obligor.preprocessing.tape import APPLICATIONS, read_tape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

    from obligor.core.snapshot import Snapshot, SnapshotFile
    from obligor.preprocessing.column_profiles import ColumnProfile
    from obligor.preprocessing.guesses import StatusGuess

MOST_ROWS = 200_000
_MOST_NAME, _MOST_QUOTED = 200, 900  # the contract's limit, and what a key of YAML can hold
_MOST_TOLD = 8
_EXPOSURE = "the amount that is lost in a default?"


def draft_contract(db: duckdb.DuckDBPyConnection, snapshot: Snapshot, *, name: str) -> str:
    """Write a contract in YAML that the tape keeps, with every guess marked.

    At most 200,000 rows are profiled, spread evenly over the tape; of a longer tape no limits are proposed.

    Parameters
    ----------
    db
        A working database without tables; the tape's are left in it.
    name
        What the contract shall be called.

    Raises
    ------
    TapeError
        Where no column could be the outcome, or none a predictor.
    """
    file = snapshot.table(APPLICATIONS)[0]
    names = _names(file)
    left_out = dict(_unfit_names(names)) | _unfit_types(file)
    columns = {it: Column(type="text") for it in names if it not in left_out}
    if len(names) == 1 or not columns:
        raise _no_table(file)
    tape = read_tape(db, snapshot, applications=Table(columns=columns), histories={}).applications
    step = -(-tape.rows // MOST_ROWS)
    if file.format == "csv":
        file = replace(file, numbers=guess_numbers(db, tape, step=step))
    profiles = [
        profile_column(db, it, table=tape, step=step, dated=speaks_of_a_day(it), numbers=file.numbers) for it in columns
    ]
    left_out |= {it.name: reason for it in profiles if (reason := reason_to_leave_out(it)) is not None}
    kept = [it for it in profiles if it.name not in left_out]
    chosen = choose_outcome(kept)
    if chosen is None:
        raise _no_outcome(kept, constant=[it for it in profiles if it.distinct == 1])
    outcome, status, named = chosen
    applied_at = choose_applied_at([it for it in kept if it is not outcome])
    guessed = _roles(kept, outcome=outcome, status=status, applied_at=applied_at)
    if not any("predictor" in guess.roles for _, guess in guessed):
        raise _no_predictor(outcome, guessed, left_out)
    draft = Draft(name, file, tape.rows, step, names, left_out, guessed, outcome, status, named, applied_at)
    return write_draft(draft)


def _roles(
    kept: Sequence[ColumnProfile], *, outcome: ColumnProfile, status: StatusGuess, applied_at: ColumnProfile | None
) -> list[tuple[ColumnProfile, Guess]]:
    """Give every column its roles, and the type that goes with them."""
    lacking = applied_at.rows - applied_at.known if applied_at else 0
    late = f"; {lacking} of the rows read have none and would go to quarantine" if lacking else ""
    chosen = {
        outcome: Guess(("outcome",), status.check),
        choose_exposure([it for it in kept if it is not outcome]): Guess(("predictor", "exposure"), _EXPOSURE),
        applied_at: Guess(("applied_at",), f"the day of the decision?{late}"),
    }
    found = ((it, chosen.get(it) or _plain_role(it)) for it in kept)
    return [(_typed(it, guess), guess) for it, guess in found]


def _plain_role(profile: ColumnProfile) -> Guess:
    guess = guess_role(profile)
    if guess.roles == ("predictor",) and may_be_an_outcome(profile):
        return Guess(("leakage",), "named like an outcome, so it may be known only after the loan was made")
    return guess


def _typed(profile: ColumnProfile, guess: Guess) -> ColumnProfile:
    """Read keys, groups of persons and outcomes of words as texts."""
    as_text = guess.roles == ("identifier",) or (guess.roles == ("protected",) and may_be_codes(profile))
    if as_text or (guess.roles == ("outcome",) and profile.type == "bool"):
        return replace(profile, type="text")
    return profile


# --- the columns of the file -------------------------------------------------------------------------------------


def _names(file: SnapshotFile) -> tuple[str, ...]:
    if file.header is not None:
        return file.header
    if file.format == "parquet":
        return tuple(pq.read_schema(file.path).names)
    encoding = "utf-8-sig" if file.encoding in (None, "utf-8") else file.encoding
    packed = None if file.compression == "none" else file.compression
    with (
        pa.input_stream(file.path, compression=packed) as stream,
        io.TextIOWrapper(stream, encoding=encoding, errors="surrogateescape", newline="") as text,
    ):
        return tuple(next((record for record in csv.reader(text, delimiter=file.delimiter or ",") if record), ()))


def _unfit_names(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name the columns that a contract cannot name, or the engine cannot tell apart, with the reason."""
    counts = Counter(names)
    seen: dict[str, str] = {}
    for name in counts:
        twin = seen.setdefault(name.lower(), name)
        if not name.strip():
            yield name, "has no name"
        elif counts[name] > 1:
            yield name, f"stands {counts[name]} times in the header"
        elif twin != name:
            yield name, "differs from another column only in case; rename it in the file"
        elif name.lower() == "_row":
            yield name, "has a name that stands for the position in the tape; rename it in the file"
        elif len(name) > _MOST_NAME or len(scalar(name)) > _MOST_QUOTED or not _is_unicode(name):
            yield name, "has a name that is too long or damaged; rename it in the file"


def _is_unicode(name: str) -> bool:
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _unfit_types(file: SnapshotFile) -> dict[str, str]:
    if file.format != "parquet":
        return {}
    schema = pq.read_schema(file.path)
    return {it.name: f"holds {it.type}, which cannot be read as a value" for it in schema if not _is_plain(it.type)}


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    tests = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_date,
        pa.types.is_timestamp, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
    )  # fmt: skip
    return any(test(kind) for test in tests)


# --- what no draft can be made of --------------------------------------------------------------------------------


def _no_table(file: SnapshotFile) -> TapeError:
    read = f", with the delimiter {file.delimiter!r}" if file.delimiter else ""
    return TapeError(
        f"{file.name or file.path.name} was read as a single column{read}; wanted a table with a header line",
        hint="write the contract by hand, with `delimiter` for another delimiter, such as ' ', and with `header`, the "
        "names of the columns, where the first line is already a row",
    )


def _no_outcome(kept: Sequence[ColumnProfile], *, constant: Sequence[ColumnProfile]) -> TapeError:
    alike = next((it for it in constant if may_be_an_outcome(it)), None)
    if alike is not None:
        return TapeError(
            f"{scalar(alike.name)} is named like an outcome, but holds one value only; wanted loans that went bad beside "
            "loans that did not",
            hint="was the tape cut to loans of one kind? none of its other columns could be the outcome",
        )
    named = next((it for it in kept if may_be_an_outcome(it)), None)
    return TapeError(
        f"none of the {len(kept)} usable columns has two values that could mean good and bad, or more "
        "values whose words do",
        hint="the outcome may be computed from repayments: write the contract by hand, with `outcome: days_past_due`; "
        "or add a column of 0 and 1 to the tape"
        if named is None
        else f"{scalar(named.name)} is named like an outcome: write the contract by hand, with `outcome: status`, which says "
        f"what of its {named.distinct} values is good, bad or indeterminate; or add a column of 0 and 1 to the tape",
    )


def _no_predictor(
    outcome: ColumnProfile, guessed: Sequence[tuple[ColumnProfile, Guess]], left_out: Mapping[str, str]
) -> TapeError:
    roles = {it.name: f"is taken for {' and '.join(guess.roles)}" for it, guess in guessed if it.name != outcome.name}
    why = [f"{scalar(name)} {reason}" for name, reason in (roles | dict(left_out)).items()]
    more = f"; and {len(why) - _MOST_TOLD} more" if len(why) > _MOST_TOLD else ""
    return TapeError(
        f"no column is left that could be a predictor, beside the outcome {scalar(outcome.name)}"
        + (f": {'; '.join(why[:_MOST_TOLD])}{more}" if why else ""),
        hint="empty and constant columns, free text, keys, dates, protected columns and what is known only after the "
        "loan cannot be predictors",
    )
