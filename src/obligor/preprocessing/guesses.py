"""What a column of an unknown tape may be used for, guessed from its name and from what it holds.

Names are taken apart into words first, so that `loanAmount`, `LOAN_AMNT` and `Loan amount` meet the same pattern. Each
guess carries the reason that a person is to check. Where two guesses are possible the more cautious one is made: a
column that may be known only after the loan, or that may single out a protected group, is kept off the card.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.preprocessing.column_profiles import ColumnProfile

_FEW = 10
_FREE_TEXT_LENGTH, _FREE_TEXT_LEVELS, _FREE_TEXT_SHARE = 300, 1000, 0.3
_KEPT_MISSING = 0.01
_NEAR = 2
_SERIAL_DAYS = (10_000, 60_000)


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column may be used for, how personal it is, and what a person must check."""

    roles: tuple[str, ...]
    check: str = ""
    privacy: str = "none"


@dataclass(frozen=True, slots=True)
class StatusGuess:
    """Which values of a column may mean a good and a bad loan."""

    good: tuple[str, ...]
    bad: tuple[str, ...]
    indeterminate: tuple[str, ...]
    immature: tuple[str, ...]
    check: str


def words(name: str) -> str:
    """Take a name apart into lower-case words: ``SeriousDlqin2yrs`` gives ``serious dlqin 2 yrs``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=\d)(?=[A-Za-z])", " ", name)
    return " ".join(re.findall(r"[^\W_]+", parted)).lower()


def speaks_of_a_day(name: str) -> bool:
    """Whether a name says that its column holds a date."""
    return _has(r"date|day|dt|d|month|mth|at|on|issued?|period|vintage|dob|birth", words(name))


def _has(pattern: str, text: str) -> bool:
    return re.search(rf"\b(?:{pattern})\b", text) is not None


# --- columns that stay out, and roles by name --------------------------------------------------------------------

_DIRECT = (
    r"\w*name$|surname|e ?mail|(tele)?phone( (no|num|number))?$|mobile( (no|num|number))?$|address(?! state)|street|"
    r"ssn|social security|national id|nino|passport|"
    r"iban|tax id|licen[cs]e (no|number)|urls?|link|ip|(card|account) (no|num|number)|pan"
)
_LEAKAGE = (
    r"recover\w*|total (pymnt|payments?|paid|rec)|(last|next) (pymnt|payment|pay|fico|credit pull)|settle\w*|hardship|"
    r"out prncp|outstanding|collection (recovery|fees?)|(charged? ?off|default|write ?off|closed|closing|paid ?off) "
    r"(amount|amnt|amt|date|d|dt|month|reason)|written off|amount lost|loss|lgd|ead|foreclos\w*|repossess\w*|"
    r"py?mnt plan|payment plan|deferral|orig projected|funded (amnt|amt|amount)|days in (arrears|default)"
)
_PROTECTED = (
    r"sex|gender|race|ethnic\w*|marital|marriage|married|civil status|family status|religio\w*|national\w*|"
    r"citizen\w*|foreign\w*|birth|dob|disab\w*|pregnan\w*|"
    r"^(?:(?:applicant|customer|client|borrower|person) )?ages?(?: (?:years|yrs|group|band|at application))?$"
)
_BUREAU = r"fico|vantage|schufa|bureau|experian|equifax|transunion|ext source"
_COUNTED = (
    r"req|requests?|enq\w*|inq\w*|num|number|no|counts?|cnt|amt|amount|debts?|balance|sum|records?|loans?|acc(oun)?ts?|lines?|"
    r"trades?|hours?|days?|weeks?|mon|months?|qrt|quarters?|years?"
)
_OTHERS = r"region|district|area|neighbou?rhood|country|employer|company|property|house|vehicle|car|collateral|dealer"
_RATED = r"grade|scores?|ratings?|risk (?:band|class)"
_OF_OTHERS = rf"(?:{_OTHERS})\b.*\b(?:{_RATED})|(?:{_RATED}) (?:of|for)\b.*\b(?:{_OTHERS})"
_INCUMBENT = r"grade|int rate|interest rate|apr|scores?|ratings?|risk (band|class)|^pd( 12 ?m)?$"
_INSTALMENT = r"^(monthly )?(installment|instalment|payment)$|^emi$"
_PLACE = r"zip|postal|postcode|post code|city|town|county|addr|province|state$"
_PERSONAL = r"income(?!.* ratio)|inc|salary|wage|wages|earnings|employer|emp title|occupation|job title"
_WHEN = r"(issued?|appl\w*|orig\w*|open\w*|booking|vintage|cohort) (year|yr|month|quarter|week|day|date|d)"
_CATEGORY = (
    r"type|purpose|code|education|status|kind|category|class|group|region|occupation|job|sector|channel|product|"
    r"sex|gender|race|ethnic\w*|marital|marriage|religio\w*|housing|ownership|occupancy"
)
_ID = r"ids?|key|uuid|guid|index|row|record (no|number)|(loan|application|contract|member|customer) (no|num|number)"


def may_be_codes(profile: ColumnProfile) -> bool:
    """Whether a column of numbers may hold categories: few whole numbers, under a name for a kind of thing."""
    few = profile.type == "number" and profile.whole and profile.distinct <= _FEW and not profile.extract
    return few and _has(_CATEGORY, words(profile.name))


def may_be_serial_days(profile: ColumnProfile) -> bool:
    """Whether a column of numbers may hold days as spreadsheets count them, from 1927 to 2064: they grow for ever."""
    if profile.type != "number" or not _has(r"dates?|dt|opened|issued|started|earliest", words(profile.name)):
        return False
    return _SERIAL_DAYS[0] <= profile.extremes[0][0] and profile.extremes[-1][0] <= _SERIAL_DAYS[1]


def reason_to_leave_out(profile: ColumnProfile) -> str | None:
    """Say why a column is of no use on a card, or must not be read at all."""
    missing = profile.rows - profile.known - profile.unread
    if not profile.known:
        return "is empty"
    if profile.distinct == 1 and missing + profile.unread <= _KEPT_MISSING * profile.rows:
        return "holds one value only" if not missing else "holds one value only, but for a few rows without"
    if _has(_DIRECT, words(profile.name)) and profile.distinct > _FEW:
        return "is named like direct personal data, which a card does not need"
    if not _is_free_text(profile):
        return None
    return "is free text or has too many values for categories" + (f"; {profile.nearly}" if profile.nearly else "")


def _is_free_text(profile: ColumnProfile) -> bool:
    if profile.type != "text" or _is_key(profile):
        return False
    most = min(_FREE_TEXT_LEVELS, max(5 * _FEW, int(_FREE_TEXT_SHARE * profile.known)))
    return profile.distinct > most or profile.longest > _FREE_TEXT_LENGTH


def _is_key(profile: ColumnProfile) -> bool:
    """Whether a column is unique like a key: named so, or running numbers, or texts without blanks."""
    unique = profile.distinct == profile.known == profile.rows and profile.rows > _FEW
    if profile.type == "text":
        named = _has(_ID, words(profile.name)) and profile.distinct > _FREE_TEXT_SHARE * profile.known
        return named or (unique and not profile.spaced)
    if profile.type != "number" or not profile.whole or profile.extract or profile.extremes[0][0] < 0:
        return False
    if _has(_ID, words(profile.name)) and profile.distinct > _FREE_TEXT_SHARE * profile.known:
        return True
    return unique and profile.extremes[-1][0] - profile.extremes[0][0] < _NEAR * profile.rows


_KEPT_OFF = (
    (_LEAKAGE, Guess(("leakage",), "named '{}', like something known only after the loan was made")),
    (_PROTECTED, Guess(("protected",), "named '{}', like a protected characteristic; never on the card", "quasi")),
)
_OF_BUREAU = (
    (_BUREAU, Guess(("predictor",), "if a bureau's score, known when the applicant applied? else incumbent_score")),
)
_BY_NAME = (
    (
        _OF_OTHERS,
        Guess(("input",), "named '{}', a rating of something else than the loan; may it be on the card?", "quasi"),
    ),
    (_INCUMBENT, Guess(("incumbent_score",), "named '{}', like the lender's own score, grade or price")),
    (_WHEN, Guess(("input",), "a part of the date would not hold on later loans")),
    (_PLACE, Guess(("input",), "where a person lives may stand for a protected characteristic", "quasi")),
    (_INSTALMENT, Guess(("predictor",), "may follow from the lender's own rate; if so, incumbent_score")),
    (_PERSONAL, Guess(("predictor",), "", "quasi")),
)


def guess_role(profile: ColumnProfile) -> Guess:
    """Guess the role of a column that stands for itself: not the outcome, the day of application or the exposure."""
    name = words(profile.name)
    barred = _named(name, _KEPT_OFF)
    if barred is not None:
        return barred
    if profile.type == "date":
        return Guess(("input",), "a date feeds features only, such as full_months(a, b)")
    if _is_key(profile):
        return Guess(("identifier",), "a key of loans or of persons?", "quasi")
    guesses = _OF_BUREAU + _BY_NAME if _may_be_a_score(profile) else _BY_NAME
    return _named(name, guesses) or Guess(("predictor",))


def _may_be_a_score(profile: ColumnProfile) -> bool:
    """Whether a column of a bureau may be its score: neither a flag, nor a name, nor a count of something or an amount."""
    name = words(profile.name)
    ordered = (profile.type == "number" and profile.distinct > _NEAR) or _has(_RATED, name)
    return ordered and not _has(_COUNTED, name)


def _named(name: str, guesses: Sequence[tuple[str, Guess]]) -> Guess | None:
    """Give the first guess whose words a name holds; its check says which they are."""
    for pattern, guess in guesses:
        if found := re.search(rf"\b(?:{pattern})\b", name):
            return replace(guess, check=guess.check.format(found[0].strip()))
    return None


# --- roles that one column has -----------------------------------------------------------------------------------

_APPLIED = (
    r"appl\w*|applied", r"issued?", r"orig\w*", r"open\w*", r"funded|disburs\w*|advance\w*",
    r"grant\w*|booked|booking|contract|start|loan|approv\w*", r"date|day|month|period|vintage|year",
)  # fmt: skip
_NOT_APPLIED = r"earliest|latest|first|last|next|end|birth|dob|employ\w*|due|maturity|bureau|line|status|review"
_AMOUNTS = (
    r"^(?:loan|credit)? ?(?:amount|amnt|amt)$", r"(loan|credit|requested|financed|original) (amount|amnt|amt)",
    r"(amount|amnt|amt) (financed|requested|credit|loan|approved)", r"(loan|original) (principal|balance|size)",
    r"limit bal|^credit limit$|^principal$",
)  # fmt: skip
_OUTCOMES = (
    r"target|bad|defaulted|is default|default|label|outcome|good bad|bad good|not fully paid",
    r"^(?:loan|account|credit|repayment|final|performance) status$",
    r"^class$|charged? ?off|^status$|^y$|creditworth\w*|repaid|paid back|npl|non performing",
    r"\w*delinq\w*|\w*dlq\w*|past due|arrears|late|good",
    r"(status|risk|response|result|paid)$",
)
_STRONG_OUTCOMES = 2
_NOT_OUTCOME = (
    r"verification|marital|marriage|civil|family|employ\w*|job|home|house|housing|checking|savings?|list|listing|"
    r"application|approval|decision|personal|history|hist|other|open|residen\w*|emergency|property|accts?|num|number|count|document|own|phone|email"
)


def choose_applied_at(profiles: Sequence[ColumnProfile]) -> ColumnProfile | None:
    """Choose the column with the day of application, which nearly every row must have."""
    dates = [it for it in profiles if it.type == "date" and it.known >= (1 - _KEPT_MISSING) * it.rows]
    fit = [it for it in dates if guess_role(it).roles == ("input",) and not _has(_NOT_APPLIED, words(it.name))]
    return _best(fit, _APPLIED)


def choose_exposure(profiles: Sequence[ColumnProfile]) -> ColumnProfile | None:
    """Choose the column with the amount of the loan."""
    fit = [it for it in profiles if it.type == "number" and guess_role(it).roles == ("predictor",)]
    return _best([it for it in fit if it.distinct > _NEAR], _AMOUNTS)


def choose_outcome(profiles: Sequence[ColumnProfile]) -> tuple[ColumnProfile, StatusGuess, bool] | None:
    """Choose the column that tells good loans from bad, and say whether its name speaks for it.

    Where no name does, a column of two values is taken: the last column of the tape, else the first, else any.
    """
    fit = [it for it in profiles if it.levels and guess_role(it).roles[0] in ("predictor", "identifier", "input")]
    read = {it.name: status for it in fit if (status := guess_status(it)) is not None}
    usable = [it for it in fit if it.name in read]
    best = _best([it for it in usable if not _has(_NOT_OUTCOME, words(it.name))], _OUTCOMES)
    if best is not None:
        return best, read[best.name], True
    two = [it for it in usable if it.distinct == _NEAR]
    if not two:
        return None
    last, first = profiles[-1], profiles[0]
    guess = next((it for it in (last, first) if it in two), two[0])
    return guess, read[guess.name], False


def may_be_an_outcome(profile: ColumnProfile) -> bool:
    """Whether a name speaks so clearly of an outcome that the column should not be a predictor beside another."""
    rank = _rank(words(profile.name), _OUTCOMES)
    return rank < _STRONG_OUTCOMES and bool(profile.levels) and not _has(_NOT_OUTCOME, words(profile.name))


def _best(profiles: Sequence[ColumnProfile], patterns: Sequence[str]) -> ColumnProfile | None:
    ranked = [(_rank(words(it.name), patterns), place) for place, it in enumerate(profiles)]
    rank, place = min(ranked, default=(len(patterns), 0))
    return profiles[place] if rank < len(patterns) else None


def _rank(name: str, patterns: Sequence[str]) -> int:
    return next((rank for rank, pattern in enumerate(patterns) if _has(pattern, name)), len(patterns))


# --- good and bad by value ---------------------------------------------------------------------------------------

_BAD_VALUE = (
    r"charged?[ -]?off|default\w*|bad|writ\w+[ -]?off|loss|uncreditworthy|not creditworthy|unpaid|"
    r"not (fully )?(re)?paid|non[ -]?(performing|payment)|bankrupt\w*|foreclos\w*|repossess\w*|delinquent"
)
_NOT_BAD_VALUE = r"(no|non|not)[ -]?(default\w*|bad|delinquent)"
_GOOD_VALUE = r"(re)?paid|prepaid|good|creditworthy|performing|closed"
_YOUNG_VALUE = r"current|issued|active|open|ongoing|new|in funding"
_EVENTS = ({"1": "0"}, {"yes": "no"}, {"y": "n"}, {"true": "false"}, {"t": "f"})
_GOOD_NAME = r"good|repaid|paid|creditworth\w*|approved|performing|success\w*"


def guess_status(profile: ColumnProfile) -> StatusGuess | None:
    """Guess which values mean good and bad, by their words; of two values without words, the rarer is bad."""
    kinds = {text: _kind(text) for text, _ in profile.levels}
    if len(kinds) < _NEAR:
        return None
    if len(kinds) == _NEAR:
        return _two_values(profile, kinds)
    good, bad, young, other = ([it for it in kinds if kinds[it] == kind] for kind in ("good", "bad", "young", ""))
    if not good or not bad:
        return None
    return StatusGuess(tuple(good), tuple(bad), tuple(other), tuple(young), "by the words of its values")


def _kind(text: str) -> str:
    low = text.lower()
    kinds = ((_NOT_BAD_VALUE, "good"), (_BAD_VALUE, "bad"), (_GOOD_VALUE, "good"), (_YOUNG_VALUE, "young"))
    return next((kind for pattern, kind in kinds if _has(pattern, low)), "")


def _two_values(profile: ColumnProfile, kinds: dict[str, str]) -> StatusGuess:
    (first, n_first), (second, n_second) = profile.levels
    if "bad" in kinds.values() or "good" in kinds.values():
        bad = first if kinds[first] == "bad" or (kinds[second] == "good" and kinds[first] != "good") else second
        check = "by the words of its values"
    elif any({first.lower(), second.lower()} == {*event, *event.values()} for event in _EVENTS):
        events = {key for event in _EVENTS for key in event}
        happened, did_not = (first, second) if first.lower() in events else (second, first)
        turned = _has(_GOOD_NAME, words(profile.name)) and not _has(r"not|non", words(profile.name))
        bad, check = (did_not if turned else happened), f"is '{happened}' the {'good' if turned else 'bad'} one?"
    else:
        bad, check = (first if n_first < n_second else second), "the rarer value was taken for bad"
    return StatusGuess((second if bad == first else first,), (bad,), (), (), check)
