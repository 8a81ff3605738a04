"""Evidence of identity from a file: for tests and demonstrations, and for lenders who verify by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from obligor.core.errors import InvalidInputError, UnavailableError
from obligor.serving.gates.kyc import hashed, read_evidence

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.serving.gates.kyc import KycEvidence, Person


class FileKyc:
    """Evidence from a JSON list, found by its id, or by the hash of the document's number."""

    def __init__(self, file: Path) -> None:
        try:
            said = json.loads(file.read_bytes())
            found = [read_evidence(json.dumps(it).encode()) for it in said]
        except (OSError, ValueError, TypeError, UnavailableError):
            raise InvalidInputError(f"{file}: wanted a JSON list of evidence") from None
        self._by_id = {it.evidence_id: it for it in found}
        self._by_number = {it.id_number_sha256: it for it in found}

    async def check(self, person: Person) -> KycEvidence | None:
        """Give what is known."""
        return self.known(person)

    def known(self, person: Person) -> KycEvidence | None:
        """Give the evidence that the applicant brought, or that there is of their document."""
        if person.evidence_id is not None:
            return self._by_id.get(person.evidence_id)
        return self._by_number.get(hashed(person.id_number))
