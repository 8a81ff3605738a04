"""Two lists that a notice must never mix.

*Principal reasons* say why credit was declined (Regulation B, 12 CFR 1002.9 and comment 9(b)(2)): at most four, only of what
declined, only what truly fell short. *Key factors* say what lowered a credit score (FCRA, section 609(f)): all there are up to
four in order of importance, and the number of inquiries beside them. A vendor's factors are passed on as they came; they are
no reasons of a decline. Whether the lender's own card is a credit score is for its counsel to say; where it is, its key
factors come from here too.

A list that would be wrong is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from obligor.core.errors import NoticeError
from obligor.core.reasons import MOST_REASONS
from obligor.governance.notices.particulars import MOST_KEY_FACTORS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from obligor.core.policy import Policy
    from obligor.core.reasons import Reason
    from obligor.core.scorecard import Scorecard

_SAYS_NOTHING: Final = re.compile(
    r"(qualifying|sufficient|minimum|required) (credit )?score|internal (standard|polic|criteri)|score (was |is )?too low",
    re.IGNORECASE,
)
"""Insufficient by 12 CFR 1002.9(b)(2): that a standard of the lender's was not met, or a score not reached."""


_BY_PEOPLE: Final = ("override", "review")


class Standing(NamedTuple):
    """What holds of an application today: its decision, or what an override or a review made of it."""

    outcome: str
    because: str
    reasons: Sequence[Mapping[str, Any]]
    """Each with its code, its feature and its text."""
    knockouts: Sequence[str]
    decided_at: str
    """When that was decided: by the policy, or by the person who decided otherwise."""


class Codes(NamedTuple):
    """By which codes a card and a policy tell reasons: a reason of another code is somebody else's."""

    families: Collection[str]
    """The reason families of the card."""
    knockouts: Mapping[str, str]
    """The code of each rule of the policy, by its name."""


def codes_of(card: Scorecard, policy: Policy) -> Codes:
    """Give the codes of the card and the policy that made a decision."""
    families = frozenset(it.family or it.feature for it in card.characteristics)
    return Codes(families, {it.name: it.code or it.name for it in policy.knockouts})


def standing(
    record: Mapping[str, Any],
    word: Mapping[str, Any] | None = None,
    *,
    said_by: str = "review",
    before: Sequence[tuple[str, str]] = (),
) -> Standing:
    """Tell what holds: after an override or a review its outcome and the factors that the person named, never the score's.

    ``before`` is what people said before that, each the outcome and when: what somebody only kept is as old as it was.
    """
    if word is None:
        decided_at = record["decided_at"]
        return Standing(record["outcome"], record["because"], record["reasons"], record["knockouts"], decided_at)
    said = [*before, (word["outcome"], word["decided_at"])]
    outcome, decided_at = since(record["outcome"], record["decided_at"], said)
    reasons = [{"code": it["code"], "feature": "", "text": it["text"]} for it in word["factors"]]
    return Standing(outcome, said_by, reasons, (), decided_at)


Instant = TypeVar("Instant")


def since(outcome: str, decided_at: Instant, words: Iterable[tuple[str, Instant]]) -> tuple[str, Instant]:
    """Give what holds, and since when, of an outcome and what people said after it, each with its time."""
    for said, at in words:
        if said != outcome:
            outcome, decided_at = said, at
    return outcome, decided_at


def principal_reasons(standing: Standing, *, codes: Codes) -> tuple[str, ...]:
    """Give the texts of the reasons of a decline, in their order; what several reasons say alike is said once.

    Raises
    ------
    NoticeError
        Where it was no decline, or the reasons are none, too many, without a text, or not of what declined.
    """
    if standing.outcome != "decline":
        raise NoticeError(
            f"notice: the outcome is {standing.outcome}, which is no adverse action", refusal="no_decline"
        )
    if standing.because.startswith("gate:") and not standing.because.startswith("gate:kyc:"):
        raise NoticeError(
            "notice: this decision has no notice of this kind; ask compliance", refusal="not_for_a_template"
        )
    reasons = standing.reasons
    if not reasons:
        missing = "nobody named a factor" if standing.because in _BY_PEOPLE else "the decision has no reason"
        raise NoticeError(f"notice: {missing}; wanted at least one", refusal="no_reason")
    if len(reasons) > MOST_REASONS:
        raise NoticeError(f"notice: {len(reasons)} reasons; wanted at most {MOST_REASONS}", refusal="too_many_reasons")
    for it in reasons:
        _check(it, standing, codes)
    return tuple({plain_text(it["text"]): it["text"].strip() for it in reversed(reasons)}.values())[::-1]


def _check(reason: Mapping[str, Any], standing: Standing, codes: Codes) -> None:
    code, text = reason["code"], reason["text"].strip()
    if not text:
        raise NoticeError(f"notice: the reason '{code}' has no text", refusal="reason_without_text")
    if _SAYS_NOTHING.search(text):
        wanted = "wanted the factor itself (12 CFR 1002.9(b)(2))"
        raise NoticeError(
            f"notice: the reason '{code}' names a standard or a score; {wanted}", refusal="insufficient_text"
        )
    if not _is_of(code, standing, codes):
        raise NoticeError(
            f"notice: '{code}' is no factor of what declined; a vendor's factors, or those of another part, are no reasons",
            refusal="foreign_reason",
        )
    if standing.because == "score" and reason.get("shortfall", 0) <= 0:
        raise NoticeError(f"notice: the reason '{code}' does not fall short of anything", refusal="no_shortfall")


def _is_of(code: str, standing: Standing, codes: Codes) -> bool:
    origin, _, name = standing.because.partition(":")
    if origin == "score":
        return code in codes.families
    if origin == "knockout":
        return code in {codes.knockouts.get(it) for it in standing.knockouts}
    return origin in _BY_PEOPLE or code == name.partition(":")[0]


def key_factors(ranked: Sequence[Reason], *, inquiries: str | None = None) -> tuple[str, ...]:
    """Give the key factors of the lender's own card, where counsel holds it to be a credit score.

    Parameters
    ----------
    ranked
        Every factor that lowered the score, the most important first, however many.
    inquiries
        The reason family of the number of inquiries: where it lowered the score and is not among the first four, it is fifth.

    Raises
    ------
    NoticeError
        Where there is none, or one has no text.
    """
    told = list(ranked[:MOST_KEY_FACTORS])
    told += [it for it in ranked[MOST_KEY_FACTORS:] if inquiries is not None and it.code == inquiries]
    if not told:
        raise NoticeError("notice: nothing lowered the score; there are no key factors", refusal="no_key_factor")
    for it in told:
        if not it.text.strip():
            raise NoticeError(f"notice: the key factor '{it.code}' has no text", refusal="reason_without_text")
    return tuple(it.text.strip() for it in told)


def plain_text(text: str) -> str:
    """Write a text so that it equals others that say the same in other letters or with other blanks."""
    return " ".join(text.casefold().split())
