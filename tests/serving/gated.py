"""Releases whose compliance profile has gates switched on."""

from __future__ import annotations

from typing import Any

from tests.serving import golden_decisions as golden

from obligor.core.profile import GATES, Gate, Gates, Profile
from obligor.serving.releases.release import Release, compile_release


def good_application() -> dict[str, Any]:
    """An application that is approved where no gate stands in the way."""
    release = release_of()
    return next(
        it
        for it in golden.applications(50)
        if release.assess(release.read(it), at=golden.START).decision.outcome == "approve"
    )


def profile_of(*, on_fail: Any = "refer", version: int = 1, **states: Any) -> Profile:
    """A profile with some gates on, and the others off."""
    gates = {name: Gate(state=states.get(name, "off"), on_fail=on_fail) for name in GATES}
    return Profile(name="gated", version=version, gates=Gates(**gates), effective_from=golden.START)


def release_of(*, on_fail: Any = "refer", **states: Any) -> Release:
    """A release under such a profile."""
    card = golden.whole_card()
    return compile_release(7, card=card, policy=golden.policy_of(card), profile=profile_of(on_fail=on_fail, **states))
