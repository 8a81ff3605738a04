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
from typing import TYPE_CHECKING

from obligor.core.bins import NumericBins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from obligor.core.counterfactuals import Change, Check, Counterfactual
    from obligor.core.scorecard import Characteristic
    from obligor.core.scorer import Scorer

    Row = Mapping[str, object]


def rescoring(scorer: Scorer, application: Row, histories: Mapping[str, Sequence[Row]]) -> Check:
    """Give the check that scores a way again on an application; it gives nothing where the way does not hold."""
    places = {it.feature: at for at, it in enumerate(scorer.card.characteristics)}

    def check(way: Counterfactual) -> Counterfactual | None:
        changed = dict(application)
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
            found = next(lying_there, None)
            if found is None:
                return None
            changed[change.feature] = found
        score = scorer.score(changed, histories=histories).score
        return replace(way, score=score, scored="application") if score >= scorer.card.cutoff.score else None

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
    low = binning.cuts[change.to_code - 1] if change.to_code else -math.inf
    high = binning.cuts[change.to_code] if change.to_code < len(binning.cuts) else math.inf
    inside = [low, math.nextafter(low, math.inf), (low + high) / 2, low + 1, high - 1, math.nextafter(high, -math.inf)]
    here = own if isinstance(own, float) else low
    known = sorted({value for value in inside if math.isfinite(value)}, key=lambda value: (abs(value - here), value))
    yield from known
