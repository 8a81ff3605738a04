"""The text of a drafted contract: YAML that reads as if written by hand, whatever the tape's names and values hold.

No value of a personal column is repeated, and only limits are written that every row of the tape keeps.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, combinations
from typing import TYPE_CHECKING

import yaml

from obligor.preprocessing.column_profiles import number_text, special_codes
from obligor.preprocessing.guesses import may_be_codes, may_be_serial_days

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from obligor.core.snapshot import SnapshotFile
    from obligor.preprocessing.column_profiles import ColumnProfile
    from obligor.preprocessing.guesses import Guess, StatusGuess

_LONGEST_LEVEL = 60
_WINDOW_MONTHS = 12
_ROWS_PER_LEVEL = 3  # a category of fewer rows, on average, might tell of a person
_HALF = 2
_PARTS = (0.6, 0.2, 0.2)


@dataclass(frozen=True, slots=True)
class Draft:
    """All that is proposed of a contract, before it is text.

    Parameters
    ----------
    rows, step : int
        The rows of the tape, and every how manieth of them was profiled.
    names : sequence of str
        All names of the file's header.
    left_out : mapping
        The columns that are not proposed, with the reason.
    outcome_named : bool
        Whether the name of the outcome's column speaks for it.
    """

    name: str
    file: SnapshotFile
    rows: int
    step: int
    names: Sequence[str]
    left_out: Mapping[str, str]
    columns: Sequence[tuple[ColumnProfile, Guess]]
    outcome: ColumnProfile
    status: StatusGuess
    outcome_named: bool
    applied_at: ColumnProfile | None


def write_draft(draft: Draft) -> str:
    """Write a draft as YAML: one line for each column, with what is to be checked as a comment."""
    return "\n".join(_lines(draft))


def _lines(draft: Draft) -> Iterator[str]:
    yield from _head(draft)
    yield from ("schema: obligor/contract/1", f"name: {scalar(_slug(draft.name))}")
    yield from ('title: ""', 'description: ""', 'source: ""', "", "applications:", *_layout(draft.file), "  columns:")
    for profile, guess in draft.columns:
        yield _column_line(profile, guess, draft=draft)
    if draft.left_out:
        yield "    # Left out, and so never read:"
        yield from (f"    # {scalar(name)}: {reason}" for name, reason in draft.left_out.items())
    yield from ("", *_outcome_lines(draft), "", *_split_lines(draft), "")


def _head(draft: Draft) -> Iterator[str]:
    yield f"# Proposed from a tape of {draft.rows} rows and {len(draft.names)} columns."
    yield "# Every guess is marked `check`, with what a person is to check."
    yield "# To add: title and source; trends where they are known; a `reason` for every predictor, which is the"
    yield "# text that an applicant reads when it speaks against them; `economics`, what a loan earns and costs, on which the"
    yield "# cut-off rests."
    if draft.step > 1:
        yield f"# One row of {draft.step} was profiled, so min, levels and unique are not proposed."
    if not draft.outcome_named:
        yield f"# FIRST: no column is named like an outcome; {scalar(draft.outcome.name)} is a mere guess."
    if _HALF * sum(_is_number(name) for name in draft.names) >= len(draft.names):
        yield "# FIRST: the header looks like a row. If it is one, write the names of the columns under applications,"
        yield "# as `header: [...]`, and name the columns below by them."


def _layout(file: SnapshotFile) -> Iterator[str]:
    if file.delimiter not in (None, ","):
        yield f"  delimiter: {scalar(str(file.delimiter))}"
    if file.encoding not in (None, "utf-8"):
        yield f"  encoding: {file.encoding}  # check: guessed, as the file is not UTF-8; do its letters look right?"
    if file.numbers.decimal != ".":
        yield f"  decimal: {scalar(file.numbers.decimal)}  # check: guessed, as most numbers that can be read in one way say so"
    if file.numbers.thousands:
        yield f"  thousands: {scalar(file.numbers.thousands)}  # check: guessed, as numbers that can be read in one way say so"
    if file.header is not None:
        yield f"  header: {_texts(file.header)}"


def _column_line(profile: ColumnProfile, guess: Guess, *, draft: Draft) -> str:
    codes = special_codes(profile, personal=guess.privacy != "none") if guess.roles[0] == "predictor" else ()
    parts = [
        *_reading_parts(profile, guess),
        *_limit_parts(profile, guess, codes=codes, whole_tape=draft.step == 1),
        *([f"missing: {_texts(profile.missing)}"] if profile.missing else []),
        *([f"special: {{{', '.join(f'{number_text(code)}: to be stated' for code in codes)}}}"] if codes else []),
    ]
    checks = "; ".join(_checks(profile, guess, codes=codes))
    return f"    {scalar(profile.name)}: {{{', '.join(parts)}}}" + (f"  # check: {checks}" if checks else "")


def _reading_parts(profile: ColumnProfile, guess: Guess) -> Iterator[str]:
    roles = guess.roles[0] if len(guess.roles) == 1 else f"[{', '.join(guess.roles)}]"
    yield f"type: {profile.type}"
    yield f"role: {roles}"
    if profile.unit:
        yield f"unit: {scalar(profile.unit)}"
    if guess.privacy != "none":
        yield f"privacy: {guess.privacy}"
    if profile.extract is not None:
        yield f"extract: {scalar(profile.extract)}"
    if profile.scale != 1:
        yield f"scale: {profile.scale:g}"
    if profile.format is not None:
        yield f"format: {scalar(profile.format)}"


def _limit_parts(profile: ColumnProfile, guess: Guess, *, codes: Sequence[float], whole_tape: bool) -> Iterator[str]:
    complete = profile.known == profile.rows and whole_tape
    if guess.roles == ("applied_at",) or (guess.roles == ("outcome",) and complete):
        yield "required: true"
    if guess.roles == ("identifier",) and complete and profile.distinct == profile.known:
        yield "unique: true"
    if guess.roles[0] not in ("predictor", "protected") or not whole_tape:
        return
    values = [number for number, _ in profile.extremes if number not in codes]
    if profile.type == "number" and values and min(values) >= 0:
        yield "min: 0"
    if profile.type == "text" and guess.privacy == "none" and _may_be_listed(profile):
        yield f"levels: {_texts(text for text, _ in profile.levels)}"


def _may_be_listed(profile: ColumnProfile) -> bool:
    few = 0 < len(profile.levels) * _ROWS_PER_LEVEL <= profile.known
    return few and all(len(text) <= _LONGEST_LEVEL for text, _ in profile.levels)


def _checks(profile: ColumnProfile, guess: Guess, *, codes: Sequence[float]) -> Iterator[str]:
    repeated = profile.known - profile.distinct if guess.roles == ("identifier",) else 0
    checks = (
        (guess.check, guess.check),
        (profile.nearly, profile.nearly),
        (repeated, f"{repeated} of {profile.known} rows repeat a value"),
        (profile.unread, f"{profile.unread} cells cannot be read as a {profile.type}"),
        (profile.ambiguous, profile.ambiguous),
        (profile.format and "%y" in profile.format, "years of two digits: which century?"),
        (codes, "codes, or true values?"),
        (profile.missing and profile.type == "text", "are the missing codes not categories?"),
        (
            may_be_serial_days(profile),
            "days as a spreadsheet counts them? they would not hold on later loans",
        ),
        (guess.roles == ("predictor",) and may_be_codes(profile), "numbers, or codes of categories? if so, text"),
    )
    yield from (said for holds, said in checks if holds)


def _outcome_lines(draft: Draft) -> Iterator[str]:
    status, counts = draft.status, dict(draft.outcome.levels)
    bads, goods = (sum(counts[value] for value in values) for values in (status.bad, status.good))
    yield "outcome:"
    yield f"  window_months: {_WINDOW_MONTHS}  # check: over how many months is the outcome known?"
    yield f"  status:  # check: {status.check}; bad are {bads / (bads + goods):.1%} of good and bad"
    yield f"    column: {scalar(draft.outcome.name)}"
    as_numbers = draft.outcome.type == "number"
    for key, values, check in (
        ("good", status.good, ""),
        ("bad", status.bad, ""),
        ("indeterminate", status.indeterminate, "  # check: neither good nor bad?"),
        ("immature", status.immature, "  # check: too young to tell?"),
    ):
        if values:
            yield f"    {key}: {_values(values, as_numbers=as_numbers)}{check}"


def _split_lines(draft: Draft) -> Iterator[str]:
    yield "split:"
    seams = _seams(draft.applied_at.days) if draft.applied_at else None
    if seams is None:
        yield "  random: {seed: 42, validation: 0.2, test: 0.2}  # check: is there no date to split by?"
        return
    train, validation, test = (f"{share:.0%}" for share in seams.left)
    yield f"  time:  # check: {train}, {validation} and {test} of the loans are left to train, validation and test, once those"
    yield "    # are out whose outcome was not known when the next of these began"
    if not min(seams.left):
        yield "    # FIRST: no card can be made so, on a tape that is so short beside window_months. Give the reason below if"
        yield "    # every outcome is final; else a window that the tape outlasts, or a longer tape."
    yield f"    validation_from: {seams.validation.isoformat()}"
    yield f"    test_from: {seams.test.isoformat()}"
    yield '    # ignore_outcome_window: ""  # a reason, where every outcome is final and the loans at a seam may stay'


@dataclass(frozen=True, slots=True)
class _Seams:
    """Where validation and test begin, and the shares of the loans that are left to train, validation and test."""

    validation: date
    test: date
    left: tuple[float, float, float]

    @property
    def balance(self) -> float:
        """How near the parts come to 60, 20 and 20 of 100, by the worst of them."""
        return min(left / wanted for left, wanted in zip(self.left, _PARTS, strict=True))


def _seams(days: Sequence[tuple[date, int]]) -> _Seams | None:
    """Choose where validation and test begin: firsts of months that leave loans to every part, else days."""
    book = _Book(tuple(day for day, _ in days), (0, *accumulate(rows for _, rows in days)))
    first, last = book.days[0], book.days[-1]
    months = sorted({day.replace(day=1) for day in book.days if first < day.replace(day=1)})
    best = max((book.parted(*seams) for seams in combinations(months, 2)), key=lambda it: it.balance, default=None)
    if best is not None and best.balance > 0:
        return best
    exact = (book.day_at(_PARTS[0]), book.day_at(_PARTS[0] + _PARTS[1]))
    for validation, test in ((exact[0].replace(day=1), exact[1].replace(day=1)), exact):
        if first < validation < test <= last:
            return book.parted(validation, test)
    return None


@dataclass(frozen=True, slots=True)
class _Book:
    """The days of applications, and the loans before each."""

    days: tuple[date, ...]
    before: tuple[int, ...]

    def parted(self, validation: date, test: date) -> _Seams:
        """Count the loans that are left to each part, once those are out whose window reaches over the next seam."""
        parts = ((date.min, _before(validation)), (validation, _before(test)), (test, date.max))
        train, middle, rest = (self._share(*part) for part in parts)
        return _Seams(validation, test, (train, middle, rest))

    def day_at(self, share: float) -> date:
        """Give the day on which a share of the loans is reached."""
        return self.days[min(bisect_right(self.before, share * self.before[-1]), len(self.days)) - 1]

    def _share(self, start: date, end: date) -> float:
        low, high = bisect_left(self.days, start), bisect_right(self.days, end)
        return max(self.before[high] - self.before[low], 0) / self.before[-1]


def _before(seam: date) -> date:
    """Give the last day whose outcome window ends before a seam."""
    return date(max(seam.year - _WINDOW_MONTHS // 12, 1), seam.month, min(seam.day, 28))


# --- YAML --------------------------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./()+-]*( [A-Za-z0-9_./()+-]+)*")


def scalar(text: str) -> str:
    """Write a text so that YAML reads this text and nothing else, in one line and anywhere."""
    if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    return '"' + "".join(_letter(letter) for letter in text) + '"'


def _letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter == "\t":
        return "\\t"
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def _texts(texts: Iterable[str]) -> str:
    return f"[{', '.join(scalar(text) for text in texts)}]"


def _values(values: Sequence[str], *, as_numbers: bool) -> str:
    """Write values of an outcome; numbers as such, where the contract then reads just these."""
    plain = (as_numbers and f"{float(value):g}" == value for value in values)
    return f"[{', '.join(value if bare else scalar(value) for value, bare in zip(values, plain, strict=True))}]"


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _slug(name: str) -> str:
    """Make a name that a contract may have: lower-case letters, digits, dots and dashes."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")
    return plain[:80].rstrip("-._") or "tape"
