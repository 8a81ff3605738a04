"""Builds what links decisions that belong together."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from obligor.bootstrap.gates import opened_records
from obligor.settings import read_gate_settings, read_person_daily

if TYPE_CHECKING:
    from collections.abc import Callable

    from obligor.bootstrap.store import Store
    from obligor.serving.linking import Linking
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.meter import Meter

_BUSY: Final = 16


def open_linking(
    store: Store, sealer: Sealer, meter: Meter, journal: Telling, *, under_way: Callable[[], int]
) -> Linking:
    """Build it over an open store; identities are told by the columns of the gate ``kyc``.

    ``under_way`` tells how many requests are being answered.
    """
    from obligor.serving.gates.kyc import OF_APPLICANT
    from obligor.serving.linking import AT_ONCE, Linking

    linking = Linking(
        store.links,
        decisions=partial(store.screening.decisions_from, before=None, limit=AT_ONCE),
        open_records=partial(opened_records, sealer),
        now=store.sources.now,
        meter=meter,
        journal=journal,
        columns={**OF_APPLICANT, **read_gate_settings(os.environ).kyc_subject},
        person_daily=read_person_daily(os.environ),
        key=store.key.derived("links"),
        busy=lambda: under_way() >= _BUSY,
    )
    meter.watch("links_behind_seconds", linking.behind_seconds)
    return linking
