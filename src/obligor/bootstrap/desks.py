"""Opens the desks at which people order over a door what the command line orders, too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from obligor.bootstrap.law import active_packs
from obligor.settings import read_retain_days

if TYPE_CHECKING:
    from obligor.bootstrap.store import Store
    from obligor.serving.acts import Recorder
    from obligor.serving.people.keys import KeyDesk
    from obligor.serving.people.proposals import Proposals
    from obligor.serving.privacy.erasing import Office, Words
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.privacy.orders import PrivacyDesk
    from obligor.serving.privacy.sealed import Sealer


def open_privacy_desk(store: Store, sealer: Sealer, opener: Opener, words: Words, proposals: Proposals) -> PrivacyDesk:
    """Open the desk for what people may ask of their data, under the rules that are in force now.

    Raises
    ------
    LawError, GateError, InvalidInputError
        Where a pack that should be active may not, or the days are no number.
    """
    from obligor.serving.privacy.erasing import Office
    from obligor.serving.privacy.orders import PrivacyDesk

    retain_days, packs = read_retain_days(os.environ), active_packs(os.environ)

    def office(by: str, recorder: Recorder) -> Office:
        return Office(store.privacy, recorder, store.sources, by, retain_days, packs)

    return PrivacyDesk(office, store.privacy, sealer, opener, words, store.archive, proposals, store.key)


def open_key_desk(store: Store, proposals: Proposals) -> KeyDesk:
    """Open the desk for API keys."""
    from obligor.serving.people.keys import KeyDesk

    return KeyDesk(store.archive, store.archive, proposals)
