"""What of an application is personal, and whom it is about, as the contract's classes say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from obligor.core.columns import Role

if TYPE_CHECKING:
    from obligor.core.application import Application, Form
    from obligor.core.columns import Column

PERSON, APPLICATION, DECISION = "person", "application", "decision"


class Parted(NamedTuple):
    """The fields of an application: those that stay in the clear, and those that are sealed."""

    clear: dict[str, Any]
    personal: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Personal:
    """Which columns are personal, and which name the person and the application."""

    columns: tuple[str, ...]
    person: str | None
    application: str | None
    any: bool
    """Whether an application can hold anything personal: a column that is, or a history."""

    @classmethod
    def of(cls, form: Form) -> Personal:
        """Read it from the columns of a card and its policy.

        Personal is what has a privacy class, what identifies and what is protected. A person is named by the first identifier
        that is required and may come twice, since one person may apply twice; an application by the first that is unique.
        """
        columns = form.columns
        identifiers = [name for name, it in columns.items() if Role.IDENTIFIER in it.role]
        unique = [name for name in identifiers if columns[name].unique]
        persons = [name for name in identifiers if columns[name].required and not columns[name].unique]
        personal = tuple(name for name, it in columns.items() if is_personal(it))
        return cls(
            personal,
            next(iter(persons), None),
            next(iter((*unique, *identifiers)), None),
            bool(personal or form.histories),
        )

    def part(self, application: Application) -> Parted:
        """Part the fields; histories are personal whole, for what somebody did month by month is known by nobody else."""
        clear = dict(application.fields)
        sealed = {name: clear.pop(name) for name in self.columns if name in clear}
        if application.histories:
            sealed |= application.histories
        return Parted(clear, sealed)

    def subject(self, application: Application) -> tuple[str, str] | None:
        """Tell by what kind of thing the subject is known, and by which value; None where the application names nobody."""
        for kind, column in ((PERSON, self.person), (APPLICATION, self.application)):
            value = None if column is None else application.fields.get(column)
            if value is not None:
                return kind, str(value)
        return None


def is_personal(column: Column) -> bool:
    """Tell whether what a column holds is personal."""
    return column.privacy != "none" or Role.IDENTIFIER in column.role or Role.PROTECTED in column.role
