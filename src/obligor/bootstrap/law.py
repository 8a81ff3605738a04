"""Reads which rule packs are active, and what notices are written with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from obligor.governance.law.origins import refuse_forbidden
from obligor.governance.law.packs import activate_packs, named_packs
from obligor.governance.law.rules import the_law
from obligor.governance.law.strict_yaml import read_yaml_file
from obligor.settings import read_law_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from obligor.core.columns import Column, History
    from obligor.core.policy import Policy
    from obligor.core.scorecard import Scorecard
    from obligor.governance.law.packs import Pack
    from obligor.governance.notices.catalogue import Approvals, Catalogue
    from obligor.governance.notices.writing import Stationery

APPROVALS = "approved.yaml"
PARTICULARS = "particulars.yaml"
TEMPLATES = "templates"


def active_packs(environ: Mapping[str, str], *, on: date | None = None) -> tuple[Pack, ...]:
    """Give the rule packs that the environment names, checked against the law and the approved templates.

    Raises
    ------
    LawError, GateError
        Where there is no such pack, a rule of it is not in force, or a template that it needs is missing or not approved.
    """
    said = read_law_settings(environ)
    if not said.packs:
        return ()
    catalogue = _catalogue(said.notices)
    approved = catalogue.approved(_approvals(said.notices), on=on or datetime.now(UTC).date())
    return activate_packs(said.packs, law=the_law(), templates=approved)


def refuse_forbidden_sources(
    environ: Mapping[str, str], columns: Mapping[str, Column], histories: Mapping[str, History]
) -> None:
    """Refuse columns whose names or descriptions tell data that an active pack forbids.

    Raises
    ------
    LawError, GateError
        Where there is no such pack; naming each column and the rule.
    """
    packs = named_packs(read_law_settings(environ).packs)
    refuse_forbidden(columns, histories, packs, on=datetime.now(UTC).date())


def refuse_forbidden_card(environ: Mapping[str, str], card: Scorecard, policy: Policy) -> None:
    """Refuse a card and a policy that read what an active pack forbids, as ``refuse_forbidden_sources`` does."""
    refuse_forbidden_sources(environ, card.applications.columns | policy.columns, card.histories | policy.histories)


def open_stationery(environ: Mapping[str, str]) -> Stationery:
    """Read what notices are written with.

    Raises
    ------
    LawError
        Where something of it is missing or malformed.
    """
    from obligor.governance.notices.particulars import Particulars
    from obligor.governance.notices.writing import Stationery

    folder = read_law_settings(environ).notices
    particulars = read_yaml_file(folder / PARTICULARS, Particulars)
    return Stationery(_catalogue(folder), _approvals(folder), particulars, the_law())


def _catalogue(folder: Path) -> Catalogue:
    """Give the lender's own templates where there are any, and otherwise those of the product."""
    from obligor.governance.notices.catalogue import Catalogue

    own = folder / TEMPLATES
    return Catalogue(own) if own.is_dir() else Catalogue()


def _approvals(folder: Path) -> Approvals:
    from obligor.governance.notices.catalogue import Approvals

    if not (folder / APPROVALS).exists():
        return Approvals(schema="obligor/approvals/1", templates=())
    return read_yaml_file(folder / APPROVALS, Approvals)
