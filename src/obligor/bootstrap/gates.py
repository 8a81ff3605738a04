"""Builds the gates of the decision service from its settings."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from obligor.bootstrap.store import Store
    from obligor.core.profile import GateName
    from obligor.serving.gates import Gate
    from obligor.serving.kyc import Kyc, KycGate
    from obligor.settings import GateSettings


@asynccontextmanager
async def open_gates(settings: GateSettings, store: Store) -> AsyncIterator[Mapping[GateName, Gate]]:
    """Give the gates that somebody answers for, beside those that the service has of its own.

    Raises
    ------
    InvalidInputError
        Where a setting says nonsense, or a column for an element is not named.
    """
    if settings.kyc is None:
        yield {}
    elif "://" not in settings.kyc:
        from obligor.adapters.kyc.file import FileKyc

        yield {"kyc": _gate(FileKyc(Path(settings.kyc)), settings, store)}
    else:
        from obligor.adapters.kyc.http import HttpKyc

        provider = HttpKyc(settings.kyc, token=settings.kyc_token)
        try:
            yield {"kyc": _gate(provider, settings, store)}
        finally:
            await provider.close()


def _gate(provider: Kyc, settings: GateSettings, store: Store) -> KycGate:
    from obligor.serving.kyc import KycGate

    return KycGate(provider, settings.kyc_subject, store.evidences, store.key.derived("kyc evidence"))
