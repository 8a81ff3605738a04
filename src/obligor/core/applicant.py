"""What an application may say of the person who applies, for the checks of a compliance profile, beside what the card reads.

These fields are the same for every card. A field may be there where the profile has a gate switched on that reads it, and is
refused otherwise, as everything is that nobody reads. No card, policy or feature can name one of them: nothing of them scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.core.columns import Column
from obligor.core.profile import SCREENING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.core.profile import GateName, Profile

NAME: Final = "applicant_name"
ALIASES: Final = "applicant_aliases"
BIRTH_DATE: Final = "applicant_birth_date"
NUMBER: Final = "applicant_number"
ADDRESS: Final = "applicant_address"
ID_NUMBER: Final = "applicant_id_number"
EVIDENCE: Final = "applicant_evidence"
BETWEEN_ALIASES: Final = ";"


def _column(described: str, *, is_date: bool = False) -> Column:
    return Column(type="date" if is_date else "text", privacy="direct", description=described)


APPLICANT: Final[Mapping[str, Column]] = {
    NAME: _column("The whole name of the person who applies, as on their identity document"),
    ALIASES: _column(f"Other names that they have or had, with '{BETWEEN_ALIASES}' between them"),
    BIRTH_DATE: _column("The day on which they were born", is_date=True),
    NUMBER: _column("What the lender calls this person, whatever they apply for"),
    ADDRESS: _column("Where they live, as on the evidence of their identity"),
    ID_NUMBER: _column("The number of their identity document"),
    EVIDENCE: _column("The evidence of their identity that they brought, as the provider calls it"),
}
"""Every such field: personal, and never needed, so that one that is absent is the gate's to judge."""

_READ: Final[Mapping[GateName, tuple[str, ...]]] = {
    "kyc": (NAME, BIRTH_DATE, ADDRESS, ID_NUMBER, EVIDENCE),
    **dict.fromkeys(SCREENING, (NAME, ALIASES, BIRTH_DATE, NUMBER)),
}


def applicant_columns(profile: Profile) -> dict[str, Column]:
    """Give the fields that the gates of a profile read which are not off in all of its scopes."""
    read = {name for gate, names in _READ.items() if gate in profile.asked for name in names}
    return {name: column for name, column in APPLICANT.items() if name in read}
