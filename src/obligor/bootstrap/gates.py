"""Builds the gates of the decision service from its settings."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from obligor.core.profile import GateName
    from obligor.serving.gates import Gate
    from obligor.settings import GateSettings


@asynccontextmanager
async def open_gates(settings: GateSettings) -> AsyncIterator[Mapping[GateName, Gate]]:
    """Give the gates that somebody answers for, beside those that the service has of its own.

    Raises
    ------
    InvalidInputError
        Where a setting says nonsense, or a column for an element is not named.
    """
    from obligor.serving.kyc import KycGate

    if settings.kyc is None:
        yield {}
    elif "://" not in settings.kyc:
        from obligor.adapters.kyc.file import FileKyc

        yield {"kyc": KycGate(FileKyc(Path(settings.kyc)), settings.kyc_subject)}
    else:
        from obligor.adapters.kyc.http import HttpKyc

        provider = HttpKyc(settings.kyc, token=settings.kyc_token)
        try:
            yield {"kyc": KycGate(provider, settings.kyc_subject)}
        finally:
            await provider.close()
