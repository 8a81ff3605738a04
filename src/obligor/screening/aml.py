"""What the AML gate says of an applicant, and what it keeps as evidence.

It keeps which list, which algorithm and which rules were asked, and nothing of a hit: who is on a list, and that somebody seems
to be, is not for those who read decisions. A list that is too old, or not there, and a
name that is missing or cannot be compared, have said nothing: the gate is pending, and never passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from obligor.core.errors import ScreeningError
from obligor.screening.births import BirthDate, parse_born

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from obligor.core.application import Application
    from obligor.screening.screener import Screener, Screening


class Said(NamedTuple):
    """The result of the gate, and its evidence as plain data."""

    result: Literal["pass", "fail", "pending"]
    evidence: Mapping[str, object]


class AmlGate:
    """Screens whoever applies against the list of a screener; without one it is pending.

    Parameters
    ----------
    names
        The fields of an application that together hold the name.
    born
        The field that holds the birth date; none: it is not asked for.
    """

    name: Final = "aml"

    def __init__(self, screener: Screener | None, *, names: Sequence[str], born: str | None = None) -> None:
        self._screener, self._names, self._born = screener, tuple(names), born

    async def evaluate(self, application: Application, *, at: datetime) -> Said:
        """Judge an applicant at the instant of the decision."""
        if self._screener is None:
            return _pending("no_list")
        fields = application.fields
        given = [value for value in map(fields.get, self._names) if isinstance(value, str) and value.strip()]
        try:
            born = _born(fields.get(self._born)) if self._born else None
            screening = self._screener.screen(" ".join(given), born, today=at.date())
        except ScreeningError:
            return _pending("not_comparable")
        return judge(screening)


def judge(screening: Screening) -> Said:
    """Give what the gate says after a screening: a hit counts on an old list as well, but no hit does not."""
    if screening.hits:
        return Said("fail", _evidence(screening))
    return Said("pending" if screening.stale else "pass", _evidence(screening))


def _evidence(screening: Screening) -> dict[str, object]:
    return {
        "list_sha256": screening.snapshot_sha256,
        "algorithm": screening.algorithm,
        "rules_sha256": screening.config_sha256,
        "stale": screening.stale,
    }


def _pending(trouble: str) -> Said:
    return Said("pending", {"trouble": trouble})


def _born(value: object) -> BirthDate | None:
    """Read a date of the application, which says it as a date or as a text."""
    return None if value is None else parse_born(str(value))
