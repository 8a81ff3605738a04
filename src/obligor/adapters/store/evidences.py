"""Keeps for whom evidence of an identity was shown first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.adapters.store.pool import Pool

_WHOSE: Final = "SELECT subject_hash FROM obligor.kyc_evidence WHERE evidence_hash = %s"
_CLAIM: Final = """
    INSERT INTO obligor.kyc_evidence (evidence_hash, subject_hash, at) VALUES (%(evidence)s, %(subject)s, %(at)s)
    ON CONFLICT (evidence_hash) DO NOTHING
"""


class PostgresEvidences:
    """Fulfils :class:`obligor.serving.gates.kyc.Evidences`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def whose(self, evidence: bytes, subject: bytes, *, at: datetime) -> bytes:
        """Keep for whom evidence is shown where nobody showed it before; give for whom it was shown first.

        Of several who show it at once one is first: the others wait until that one is kept, and find it.
        """
        known = await self._pool.rows(_WHOSE, (evidence,))
        if not known:
            await self._pool.change(_CLAIM, {"evidence": evidence, "subject": subject, "at": at})
            known = await self._pool.rows(_WHOSE, (evidence,))
        return bytes(known[0]["subject_hash"])
