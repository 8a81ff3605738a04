"""The rules that the product cites, each with its status, from when it applies, where that was read, and when.

Law changes, and prose does not notice. So a rule is data: a document, a template or a pack may cite what is here and neither
withdrawn nor enjoined, and a test holds them to it. What was superseded may be named as superseded, and not otherwise.
None of it is legal advice; ``evidence`` says how well each entry was read.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from obligor.core.errors import LawError
from obligor.core.strict_json import StrictModel
from obligor.governance.law.strict_yaml import read_yaml_file

RULES_FILE: Final = Path(__file__).parent / "law.yaml"
STALE_AFTER: Final = timedelta(days=180)
RuleId = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]{2})?\.[a-z0-9.-]{1,60}$")]
Status = Literal["in_force", "proposed", "withdrawn", "enjoined", "superseded"]


class Rule(StrictModel):
    """One rule of law, guidance or supervisory practice."""

    id: RuleId
    """Jurisdiction and name, such as `us.reg-b.1002.9`."""
    title: str
    """What it is called, and what it asks in a few words."""
    jurisdiction: Annotated[str, Field(pattern=r"^([A-Z]{2}(-[A-Z]{2})?|INTL)$")]
    """The country, the state or `EU` where it holds."""
    cited_as: tuple[str, ...] = ()
    """How texts name it; the longest name with which a citation begins is the one that counts."""
    status: Status
    """Whether it holds today."""
    effective_from: date
    """The day from which it applies, or would."""
    source: str
    """The text, or what was read in its stead."""
    evidence: Literal["primary", "secondary", "recalled"]
    """`primary`: its text was read; `secondary`: a report of it; `recalled`: general knowledge, to be read before it is
    quoted to anybody."""
    last_verified: date
    """The day on which its state was last looked up."""
    business_days: Annotated[int | None, Field(ge=1, le=366)] = None
    """Within how many business days it asks for something, where it does."""
    superseded_by: RuleId | None = None
    """The rule that took its place."""
    note: str = ""
    """What a reader must know beside it."""

    @model_validator(mode="after")
    def _says_who_followed(self) -> Self:
        if (self.status == "superseded") != (self.superseded_by is not None):
            raise LawError(f"rule '{self.id}': wanted superseded_by where, and only where, the status is superseded")
        return self

    def stale(self, on: date) -> bool:
        """Whether nobody has looked it up for longer than 180 days."""
        return on - self.last_verified > STALE_AFTER


class Lawbook(StrictModel):
    """Every rule that the product knows, by id."""

    schema_: Literal["obligor/law/1"] = Field(alias="schema")
    """The version of this format."""
    rules: tuple[Rule, ...]
    """The rules."""

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        ids = [it.id for it in self.rules]
        twice = next((it for it in ids if ids.count(it) > 1), None)
        if twice is not None:
            raise LawError(f"rule '{twice}' stands twice")
        for it in self.rules:
            if it.superseded_by is not None and it.superseded_by not in ids:
                raise LawError(f"rule '{it.id}': is superseded by '{it.superseded_by}', which is not here")
        return self

    @model_validator(mode="after")
    def _names_are_of_one_rule(self) -> Self:
        names = [name for it in self.rules for name in it.cited_as]
        twice = next((it for it in names if names.count(it) > 1), None)
        if twice is not None:
            raise LawError(f"'{twice}' is how two rules are cited")
        return self

    def rule(self, name: str) -> Rule:
        """Give a rule by its id.

        Raises
        ------
        LawError
            Where there is none.
        """
        found = next((it for it in self.rules if it.id == name), None)
        if found is None:
            raise LawError(f"there is no rule '{name[:80]}' in {RULES_FILE.name}")
        return found

    def in_force(self, name: str, on: date) -> bool:
        """Whether a rule holds on a day."""
        rule = self.rule(name)
        return rule.status == "in_force" and rule.effective_from <= on


def read_law(path: Path = RULES_FILE) -> Lawbook:
    """Read a file of rules.

    Raises
    ------
    LawError
        Where it cannot be read, or contradicts itself.
    """
    return read_yaml_file(path, Lawbook)


@cache
def the_law() -> Lawbook:
    """Give the rules that come with the product."""
    return read_law()
