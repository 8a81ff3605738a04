"""What every section of the report reads, and how it hands over what it draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from obligor.core.contract import Contract
    from obligor.core.scorecard import Scorecard

SAMPLES = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class View:
    """What a report tells of: no figure stands on the page that does not come from here."""

    contract: Contract
    card: Scorecard
    evaluation: Mapping[str, Any]
    findings: Sequence[Mapping[str, Any]]
    """The plain data of the validation's findings."""
    making: Sequence[tuple[str, str]]
    """Names and values of what went in: hashes, versions, seed."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: its name is that of its template and its anchor."""

    name: str
    title: str
    """Its word in the navigation."""
    fill: Callable[[View], dict[str, Any] | None]
    """Gives what the template shows beside the view itself; None where there is nothing to tell, and no section."""


def drawn(svg: str) -> Markup:
    """Hand over a chart as markup."""
    return Markup(svg)  # noqa: S704  charts escape every text that they are given


def labels_at(names: Sequence[str]) -> Callable[[float], str]:
    """Name the whole places of an axis."""
    return lambda value: names[int(value)] if value == int(value) and 0 <= value < len(names) else ""
