"""Counterfactuals scored again as applications: the changed columns get values of the wanted bins, and everything moves.

A column may feed several characteristics: a smaller loan is also a smaller loan for the income. Moving one bin alone leaves
the others where they are, so that a way which holds for the bins may fail for the applicant, as a shorter term
raises the instalment. Where the changed characteristics are columns, the application itself is scored again with the value
in the wanted bin that is nearest to its own. A characteristic that is computed has no value to set; such a way stays as
it is, scored by its bins.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from obligor.core.bins import NumericBins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from obligor.core.bins import Bins
    from obligor.core.counterfactuals import Change, Check, Counterfactual
    from obligor.core.scorecard import Characteristic
    from obligor.core.scorer import Scorer

    Row = Mapping[str, object]

_DIGITS = 6
"""That are tried of a value, from the second on."""
_COUNT = 10


def rescoring(scorer: Scorer, application: Row, histories: Mapping[str, Sequence[Row]]) -> Check:
    """Give the check that scores a way again on an application; it gives nothing where the way does not hold."""
    places = {it.feature: at for at, it in enumerate(scorer.card.characteristics)}

    def check(way: Counterfactual) -> Counterfactual | None:
        found: dict[str, object] = {}
        for change in way.changes:
            if change.feature not in scorer.card.applications.columns:
                return way
            place = places[change.feature]
            proposed = _values(
                scorer.card.characteristics[place],
                change,
                application[change.feature],
                truth=scorer.inputs[change.feature] == "bool",
            )
            lying_there = (
                value
                for value in proposed
                if _bin_of(scorer, application, {change.feature: value}, place, histories) == change.to_code
            )
            value = next(lying_there, None)
            if value is None:
                return None
            found[change.feature] = value
        score = scorer.score({**application, **found}, histories=histories).score
        if score < scorer.card.cutoff.score:
            return None
        valued = tuple(replace(change, value=found[change.feature]) for change in way.changes)
        return replace(way, changes=valued, score=score, scored="application")

    return check


def _bin_of(scorer: Scorer, application: Row, changed: Row, place: int, histories: Mapping[str, Sequence[Row]]) -> int:
    return scorer.score({**application, **changed}, histories=histories).bins[place]


def _values(it: Characteristic, change: Change, own: object, *, truth: bool) -> Iterator[object]:
    """Propose values of a bin, the nearest to a person's own first; the scorer says whether they lie there."""
    binning = it.binning
    if not isinstance(binning, NumericBins):
        group = binning.groups[change.to_code]
        yield from (level == "true" for level in group) if truth else group
        return
    low, high = _ends(binning, change.to_code)
    inside = [low, math.nextafter(low, math.inf), (low + high) / 2, low + 1, high - 1, math.nextafter(high, -math.inf)]
    here = own if isinstance(own, float) else low
    known = sorted({value for value in inside if math.isfinite(value)}, key=lambda value: (abs(value - here), value))
    yield from known


def _ends(binning: NumericBins, code: int) -> tuple[float, float]:
    low = binning.cuts[code - 1] if code else -math.inf
    return low, binning.cuts[code] if code < len(binning.cuts) else math.inf


def round_value(change: Change, binning: Bins, own: object) -> object:
    """Give a value of the wanted bin as a person would name it: of few digits, a little beyond what would just do.

    It is no end of the bin where there is another, but for a count below ten; a whole number is answered by a whole number
    where there is one.
    """
    if not isinstance(binning, NumericBins) or not isinstance(change.value, float):
        return change.value
    value, (low, high) = change.value, _ends(binning, change.to_code)
    rises = not isinstance(own, float) or value > own
    whole = isinstance(own, float) and own.is_integer()
    exact = whole and value.is_integer()
    if exact and abs(value) < _COUNT:
        return value
    most = math.floor(math.log10(abs(value))) - 1 if value else 0
    powers = [*range(max(most, 0), -1, -1)] if whole else []
    powers += [] if exact else range(most, most - _DIGITS, -1)
    for power in powers:
        step = Decimal(10) ** power
        found = float((math.floor(Decimal(str(value)) / step) + rises) * step)
        if low <= found < high:
            return found
    return value
