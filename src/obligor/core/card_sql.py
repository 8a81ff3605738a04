"""A card as one SELECT: score, PD, band, bins and principal reasons of every application, inside a database.

The SELECT reads a relation with the card's columns, typed and in the contract's units; texts may
still have blanks around them, and missing and special codes may still stand in their columns: they are treated as the
scorer of one application treats them. It gives the same integers, the same reasons and the same bits of the PD.

Everything that an author wrote is quoted; all other names are generated. Steps are common table expressions, because each
reads what the one before has made; PostgreSQL would otherwise put the text of one into the next again and again.
Reasons are ranked by rounds of GREATEST over numbers of which no two are alike (see ``core.reasons``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.bins import NumericBins
from obligor.core.cleaning_sql import capped_sql, known_sql, plain_sql, trimmed_sql
from obligor.core.columns import Role
from obligor.core.dialects import Dialect, border_sql, emit, literal, materialized, quote, type_sql
from obligor.core.errors import InvalidInputError
from obligor.core.expressions import dependency_levels
from obligor.core.reasons import MOST_REASONS, shortfalls_of
from obligor.core.scorer import card_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.core.features import FeatureSet
    from obligor.core.scorecard import Characteristic, Pair, Scorecard
    from obligor.core.syntax import ColumnType


def card_select(card: Scorecard, *, table: str, dialect: Dialect, reasons: int = MOST_REASONS) -> str:
    """Write a card as one SELECT over a relation.

    Parameters
    ----------
    table
        The relation, written as SQL.
    reasons
        How many principal reasons; 0 for none.

    Raises
    ------
    InvalidInputError
        Where the card reads a history, or an output column would have the name of an identifier.
    CardError
        Where reasons are wanted of a card without reference means.
    """
    features = card_features(card)
    identifiers = [name for name, it in card.applications.columns.items() if Role.IDENTIFIER in it.role]
    _refuse(card, features, identifiers, reasons)
    steps = _Steps(dialect)
    values = _clean(steps, card, features, identifiers, table)
    kinds = features.types
    steps.add(
        {
            f"bin{at}": _bin(it, values[it.feature], kinds[it.feature], dialect)
            for at, it in enumerate(card.characteristics)
        }
    )
    steps.add(_points(card))
    won = [f"won{at}" for at in range(len(card.characteristics) + len(card.pairs))]
    steps.add({"total": " + ".join((_big(card.base_points), *won))})
    ranks = _rank(steps, card, reasons) if reasons else []
    shown = [f"i{at} AS {quote(name, dialect)}" for at, name in enumerate(identifiers)]
    shown += [
        f"CAST(total AS {type_sql('number', dialect)}) / {literal(1000.0, dialect)} AS score",
        "total AS score_thousandths",
        f"{_pd(card, dialect)} AS pd",
        f"{_band(card, dialect)} AS band",
    ]
    shown += [f"bin{at} AS {quote(f'bin_{it.feature}', dialect)}" for at, it in enumerate(card.characteristics)]
    shown += [f"{text} AS reason_{place + 1}" for place, text in enumerate(ranks)]
    return steps.select(shown)


class _Steps:
    """Common table expressions, each of which adds columns to the one before."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.texts: list[str] = []

    def first(self, columns: Mapping[str, str], table: str) -> None:
        self._step(_listed(columns), table)

    def add(self, columns: Mapping[str, str]) -> None:
        if columns:
            self._step("*, " + _listed(columns), f"step_{len(self.texts) - 1}")

    def _step(self, listed: str, source: str) -> None:
        kept = materialized(self.dialect)
        self.texts.append(f"step_{len(self.texts)} AS {kept}(\n  SELECT {listed}\n  FROM {source}\n)")  # noqa: S608  names are quoted

    def select(self, shown: Sequence[str]) -> str:
        listed = ",\n  ".join(shown)
        return f"WITH {', '.join(self.texts)}\nSELECT {listed}\nFROM step_{len(self.texts) - 1}"


def _refuse(card: Scorecard, features: FeatureSet, identifiers: Sequence[str], reasons: int) -> None:
    needed = features.needed_for(it.feature for it in card.characteristics)
    for name in needed:
        if name in features.aggregates:
            raise InvalidInputError(
                f"'{name}' reads the history '{features.aggregates[name].table}', which a SELECT over applications does "
                "not hold; score such a card with `obligor score`"
            )
    made = ["score", "score_thousandths", "pd", "band", *(f"bin_{it.feature}" for it in card.characteristics)]
    made += [f"reason_{place + 1}" for place in range(reasons)]
    seen: set[str] = set()
    for name in (*identifiers, *made):
        if name.lower() in seen:
            raise InvalidInputError(f"two columns of the result would be called '{name}'; rename the one of the tape")
        seen.add(name.lower())


# --- columns and features ----------------------------------------------------------------------------------------


def _clean(
    steps: _Steps, card: Scorecard, features: FeatureSet, identifiers: Sequence[str], table: str
) -> dict[str, str]:
    """Bring columns across the border, clean them and compute the features; give the SQL name of every value."""
    dialect, columns = steps.dialect, card.applications.columns
    needed = features.needed_for(it.feature for it in card.characteristics)
    read = [name for name in needed if name not in features.expressions]
    raw = {
        f"i{at}": border_sql(quote(name, dialect), columns[name].type, dialect) for at, name in enumerate(identifiers)
    }
    raw |= {f"r{at}": border_sql(quote(name, dialect), features.types[name], dialect) for at, name in enumerate(read)}
    steps.first(raw or {"one": "1"}, table)
    steps.add({f"t{at}": trimmed_sql(f"r{at}", columns[name], dialect) for at, name in enumerate(read)})
    steps.add({f"m{at}": known_sql(f"t{at}", columns[name], dialect) for at, name in enumerate(read)})
    caps = card.caps
    steps.add({f"c{at}": capped_sql(f"m{at}", columns[name], caps.get(name), dialect) for at, name in enumerate(read)})
    steps.add({f"p{at}": plain_sql(f"c{at}", columns[name], dialect) for at, name in enumerate(read)})
    values = {name: f"c{at}" for at, name in enumerate(read)}
    plain = {name: f"p{at}" for at, name in enumerate(read)}
    expressions = {name: features.expressions[name] for name in needed if name in features.expressions}
    for level in dependency_levels(expressions):
        added = {f"f{len(plain) + at}": emit(expressions[it], dialect, columns=plain) for at, it in enumerate(level)}
        steps.add(added)
        plain |= dict(zip(level, added, strict=True))
    return plain | values


# --- bins, points, bands -----------------------------------------------------------------------------------------


def _bin(it: Characteristic, value: str, kind: ColumnType, dialect: Dialect) -> str:
    bins = it.binning
    arms = [f"WHEN {value} IS NULL THEN {bins.missing}"]
    if isinstance(bins, NumericBins):
        arms += [
            f"WHEN {value} = {literal(code, dialect)} THEN {bins.ordinary + at}"
            for at, code in enumerate(bins.specials)
        ]
        arms += [f"WHEN {value} < {literal(cut, dialect)} THEN {at}" for at, cut in enumerate(bins.cuts)]
        return f"CASE {' '.join(arms)} ELSE {len(bins.cuts)} END"
    level = f"CASE WHEN {value} THEN 'true' ELSE 'false' END" if kind == "bool" else value
    by_code: dict[int, list[str]] = {}
    for name, code in bins.codes().items():
        by_code.setdefault(code, []).append(literal(name, dialect))
    arms += [f"WHEN {level} IN ({', '.join(names)}) THEN {code}" for code, names in by_code.items()]
    return f"CASE {' '.join(arms)} ELSE {bins.unseen} END"


def _points(card: Scorecard) -> dict[str, str]:
    places = {it.feature: at for at, it in enumerate(card.characteristics)}
    found = {}
    for at, it in enumerate(card.characteristics):
        arms = " ".join(f"WHEN {code} THEN {points}" for code, points in enumerate(it.points))
        found[f"won{at}"] = _big(f"CASE bin{at} {arms} END")
    for at, pair in enumerate(card.pairs, start=len(places)):
        one, other = (f"bin{places[name]}" for name in pair.features)
        found[f"won{at}"] = _big(_grid(pair, one, other))
    return found


def _grid(pair: Pair, one: str, other: str) -> str:
    rows = []
    for row, points in enumerate(pair.points):
        cells = " ".join(
            f"WHEN {other} IN ({_places(pair.columns, column)}) THEN {won}" for column, won in enumerate(points)
        )
        rows.append(f"WHEN {one} IN ({_places(pair.rows, row)}) THEN CASE {cells} ELSE 0 END")
    return f"CASE {' '.join(rows)} ELSE 0 END"


def _places(axis: Sequence[int], wanted: int) -> str:
    return ", ".join(str(code) for code, place in enumerate(axis) if place == wanted)


def _pd(card: Scorecard, dialect: Dialect) -> str:
    """Write the table of PDs as a search that halves it at every step."""
    scores, pds = card.pd.scores, card.pd.pds

    def between(right: int) -> str:
        if right in (0, len(scores)):
            return literal(pds[0] if right == 0 else pds[-1], dialect)
        low, high, start, end = scores[right - 1], scores[right], pds[right - 1], pds[right]
        share = f"CAST(total - {_signed(low)} AS {type_sql('number', dialect)}) / {literal(float(high - low), dialect)}"
        return f"{literal(start, dialect)} + {literal(end - start, dialect)} * ({share})"

    def search(first: int, last: int) -> str:
        if first == last:
            return between(first)
        middle = (first + last) // 2
        return f"CASE WHEN total < {scores[middle]} THEN {search(first, middle)} ELSE {search(middle + 1, last)} END"

    return search(0, len(scores))


def _band(card: Scorecard, dialect: Dialect) -> str:
    arms = [f"WHEN total >= {it.score_min} THEN {literal(it.name, dialect)}" for it in card.bands[:-1]]
    last = literal(card.bands[-1].name, dialect)
    return f"CASE {' '.join(arms)} ELSE {last} END" if arms else last


# --- reasons -----------------------------------------------------------------------------------------------------


def _rank(steps: _Steps, card: Scorecard, reasons: int) -> list[str]:
    """Rank the families by shortfall in rounds, and give the SQL of the reason of each place."""
    shortfalls = shortfalls_of(card)
    size = len(shortfalls.codes)
    terms: list[list[str]] = [[] for _ in range(size)]
    for at, it in enumerate(card.characteristics):
        terms[shortfalls.families[at]].append(f"2 * ({_signed(it.reference or 0)} - won{at})")
    for at, (pair, (one, other, _)) in enumerate(
        zip(card.pairs, shortfalls.pairs, strict=True), start=len(card.characteristics)
    ):
        for end in (one, other):
            terms[shortfalls.families[end]].append(f"({_signed(pair.reference or 0)} - won{at})")
    steps.add({f"e{at}": f"{size} * ({' + '.join(own)}) + {size - 1 - at}" for at, own in enumerate(terms)})
    places = min(reasons, size)
    for place in range(places):
        left = [
            f"e{at}" if not place else f"CASE WHEN e{at} < x{place - 1} THEN e{at} ELSE -1 END" for at in range(size)
        ]
        steps.add({f"x{place}": f"GREATEST({', '.join(left)})" if size > 1 else left[0]})
    arms = " ".join(
        f"WHEN {size - 1 - at} THEN {literal(code, steps.dialect)}" for at, code in enumerate(shortfalls.codes)
    )
    text = type_sql("text", steps.dialect)
    found = [f"CASE WHEN x{place} >= {size} THEN CASE MOD(x{place}, {size}) {arms} END END" for place in range(places)]
    return found + [f"CAST(NULL AS {text})"] * (reasons - places)


def _big(value: str | int) -> str:
    return f"CAST({value} AS BIGINT)"


def _signed(number: int) -> str:
    return f"({number})" if number < 0 else str(number)


def _listed(columns: Mapping[str, str]) -> str:
    return ",\n    ".join(f"{text} AS {name}" for name, text in columns.items())
