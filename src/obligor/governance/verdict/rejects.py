"""What was assumed of the declined, of whom no outcome is known, and how much hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.governance.pages import rate
from obligor.governance.verdict.sentence import Sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DOUBT: Final = 0.01
_BEYOND: Final = 0.20


def declined(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say what was assumed of the declined, and how far the assumption reaches."""
    found = evaluation.get("rejects")
    if not found:
        return
    share = 1 - found["samples"]["test"]["approval_rate"]
    fitted = (
        "the card was fitted on the accepted alone"
        if found["method"] == "none"
        else f"the card was fitted with them by {found['method']}, as if they had {found['uplift']:g} times the odds of bad"
    )
    low, high = found["band"][0], found["band"][-1]
    approved = (
        ""
        if low["plain_bad_rate"] is None
        else ", and of all whom the plain card approves at its cut-off "
        f"{rate(low['plain_bad_rate'])} to {rate(high['plain_bad_rate'])}"
    )
    yield Sentence(
        "watch",
        f"The lender declined {rate(share)} of the applications of the test, and nothing on the tape says how they "
        f"would have turned out: {fitted}. From {low['uplift']:g} to {high['uplift']:g} times the odds of accepted "
        f"applicants of their score, {rate(low['assumed_bad_rate'])} to {rate(high['assumed_bad_rate'])} of them "
        f"would be bad{approved}.",
    )
    if found["beyond"] > _BEYOND:
        yield Sentence(
            "watch",
            f"{rate(found['beyond'])} of the declined score below 99% of the accepted: of them hardly any accepted loan "
            "tells anything.",
        )


def inference(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say whether known outcomes can tell an inferred card from the plain one."""
    found = evaluation.get("rejects")
    if not found or found["plain"]["gini"] is None:
        return
    moves = [each["gini"] - found["plain"]["gini"] for each in found["band"]]
    clear = [each for each in found["band"] if each["p"] is not None and each["p"] < _DOUBT]
    reach = f"moves the Gini on accepted loans by {min(moves):+.3f} to {max(moves):+.3f}"
    if not clear:
        yield Sentence(
            "plain", f"Inference by {found['band_method']} {reach}: it moved nothing that the data could confirm."
        )
        return
    told = " and ".join(f"{each['uplift']:g}" for each in clear)
    yield Sentence(
        "watch",
        f"Inference by {found['band_method']} {reach}; at {told} times the odds that is more than chance. It speaks of the "
        "bins and of the accepted, and confirms nothing of what was assumed of the declined.",
    )
