"""Why nothing may be written now: one word for all doors of a service, and for its store."""

from __future__ import annotations

from dataclasses import dataclass

from obligor.core.errors import UnavailableError


@dataclass(slots=True, eq=False)
class Hold:
    """Holds every act up for as long as there is a reason."""

    because: str = ""
    """Empty: acts are recorded."""

    def refuse(self) -> None:
        """Refuse an act, where there is a reason to.

        Raises
        ------
        UnavailableError
            Where nothing may be written.
        """
        if self.because:
            raise UnavailableError(
                f"nothing is recorded: {self.because}", hint="two people decide: obligor audit acknowledge"
            )
