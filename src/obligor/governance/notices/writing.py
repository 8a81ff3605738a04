"""Writes a notice to an applicant, as text and as HTML from one approved wording, or refuses to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jinja2 import (
    FunctionLoader,
    StrictUndefined,
    TemplateAssertionError,
    TemplateNotFound,
    TemplateRuntimeError,
    TemplateSyntaxError,
    UndefinedError,
)
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import internal_code
from markupsafe import Markup

from obligor.core.errors import LawError, NoticeError
from obligor.governance.notices.factors import key_factors, plain_text, principal_reasons

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from obligor.core.reasons import Reason
    from obligor.governance.law.rules import Lawbook
    from obligor.governance.notices.catalogue import Approvals, Catalogue, Template
    from obligor.governance.notices.factors import Codes, Standing
    from obligor.governance.notices.particulars import Bureau, Particulars, ScoreUsed

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WRONG: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TemplateAssertionError, "a filter, a test or a block that is not there"),
    (TemplateSyntaxError, "what is no template"),
    (UndefinedError, "a field that is not there"),
    (SecurityError, "what no notice may do"),
    (TemplateRuntimeError, "a filter, a test or a block that is not there"),
    (Exception, "what cannot be worked out"),
)
"""What a template says wrong, by the error that it brings about: the first that fits."""
_MOST_QUOTED: Final = 80
_UNDECIDED: Final = ("refer", "hold")


@dataclass(frozen=True, slots=True)
class Stationery:
    """What a lender writes notices with."""

    catalogue: Catalogue
    approvals: Approvals
    particulars: Particulars
    law: Lawbook


class ScoreTold(NamedTuple):
    """A credit score as a notice tells it."""

    score: int
    lowest: int
    highest: int
    made_on: date
    source: str
    factors: tuple[str, ...]
    """Key factors: the most important first, the number of inquiries last."""


class OfferTold(NamedTuple):
    """A counter-offer as a notice tells it."""

    terms: tuple[tuple[str, str], ...]
    """What is offered: what it is called, and how much."""
    rate: str | None
    respond_by: date
    accepted: bool | None
    """None: it waits for an answer."""


class MissingTold(NamedTuple):
    """What an application lacks, as a notice tells it."""

    fields: tuple[str, ...]
    respond_by: date


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that may be sent."""

    template: str
    language: str
    template_sha256: str
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    """The principal reasons, where it tells them."""
    factors: tuple[str, ...]
    """The key factors of a score, where it tells them."""
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Declined:
    """What a notice is written of: a decline, with what was used to come to it; or what keeps an application undecided."""

    standing: Standing
    """What holds of the application today (``factors.standing``)."""
    codes: Codes
    reference: str
    """What the applicant knows the application by."""
    applied_on: date
    decided_on: date
    bureaus: Sequence[str] = ()
    """The ids of the consumer reporting agencies whose reports were used."""
    score: ScoreTold | None = None
    """The credit score that was used, where one was."""
    offer: OfferTold | None = None
    """What was offered in its place, where anything was."""
    missing: MissingTold | None = None
    """What the application lacks, where it was said to be incomplete."""


def write_notice(name: str, of: Declined, *, on: date, stationery: Stationery, language: str | None = None) -> Notice:
    """Write a notice by the template of a name.

    Parameters
    ----------
    on
        The day of the notice.
    language
        The applicant's; none: that of the lender's reason texts.

    Raises
    ------
    NoticeError
        Where the notice would be wrong: it names the check.
    LawError
        Where the template is: it names the file and the line.
    """
    template = _template(name, stationery, language=language, on=on)
    reasons, score = _lists(template, of)
    said = _said(template, of, stationery.particulars, on=on) | {"reasons": reasons, "score": score}
    return Notice(
        template.id,
        template.language,
        stationery.catalogue.sha256(template),
        template.rules,
        reasons,
        () if score is None else score.factors,
        _render(stationery.catalogue, template, said, form="form.txt.j2"),
        _render(stationery.catalogue, template, said, form="form.html.j2"),
    )


def _lists(template: Template, of: Declined) -> tuple[tuple[str, ...], ScoreTold | None]:
    """Give the principal reasons, or the score with its key factors: whichever of the two the notice tells, never both."""
    if template.kind == "incomplete":
        _check_incomplete(of)
        return (), None
    _check_offer(template, of.offer)
    reasons = principal_reasons(of.standing, codes=of.codes)  # whatever it tells: there is no notice but of a decline
    _check_apart(reasons, of.score)
    if template.kind == "score_disclosure":
        return (), _of_a_score(of.score)
    return reasons, None


def _check_incomplete(of: Declined) -> None:
    """Refuse to ask for what is missing where nobody said what, or something was decided."""
    if of.missing is None:
        raise NoticeError("notice: nobody said that this application is incomplete", refusal="not_incomplete")
    if of.standing.outcome not in _UNDECIDED:
        raise NoticeError(
            f"notice: the outcome is {of.standing.outcome}; what is missing is asked for before", refusal="was_decided"
        )


def _check_offer(template: Template, offer: OfferTold | None) -> None:
    """Refuse a notice that contradicts how far a counter-offer has come."""
    if template.kind == "counter_offer" and offer is None:
        raise NoticeError("notice: no counter-offer was made of this decision", refusal="no_counter_offer")
    if offer is None:
        return
    if offer.accepted:
        raise NoticeError(
            "notice: the applicant took the counter-offer, and nothing is declined", refusal="counter_offer_accepted"
        )
    if template.kind == "counter_offer" and offer.accepted is False:
        raise NoticeError(
            "notice: the counter-offer was not accepted; the notice is that of a decline", refusal="counter_offer_over"
        )
    if template.kind == "adverse_action" and offer.accepted is None:
        raise NoticeError(
            "notice: a counter-offer waits for its answer",
            refusal="counter_offer_open",
            hint="say whether it was taken, or write the notice that offers and declines in one",
        )


def _said(template: Template, of: Declined, particulars: Particulars, *, on: date) -> dict[str, Any]:
    """Give what the wording may say besides the lists."""
    return {
        "title": template.title,
        "language": template.language,
        "on": on,
        "decided_on": of.decided_on,
        "reference": of.reference,
        "creditor": particulars.creditor,
        "agency": particulars.agency,
        "reviews": particulars.reviews,
        "bureaus": _bureaus(particulars, of.bureaus),
        "reviewed": of.standing.because == "review",
        "offer": of.offer,
        "missing": of.missing,
    }


def _template(name: str, stationery: Stationery, *, language: str | None, on: date) -> Template:
    """Give the template of a name, which is in the language of the reason texts, approved, and of rules that apply."""
    particulars, catalogue = stationery.particulars, stationery.catalogue
    template = catalogue.find(name, language=language or particulars.language)
    if template.language != particulars.language:
        told = f"the reason texts are {particulars.language}, the notice {template.language}"
        raise NoticeError(f"notice: {told}; wanted one language", refusal="wrong_language")
    catalogue.check_approved(template, stationery.approvals, on=on)
    _check_rules(template, stationery.law, on)
    return template


def vendor_score(used: ScoreUsed, particulars: Particulars) -> ScoreTold:
    """Tell a bureau's score as it came: its factors are passed on, never made.

    Raises
    ------
    NoticeError
        Where the bureau is not among the lender's.
    """
    (bureau,) = _bureaus(particulars, (used.bureau,))
    return ScoreTold(used.score, used.lowest, used.highest, used.made_on, bureau.name, used.factors)


def own_score(score: int, ranked: Sequence[Reason], *, made_on: date, particulars: Particulars) -> ScoreTold:
    """Tell the lender's own score (thousandths) as a credit score, where the particulars hold it to be one.

    Raises
    ------
    NoticeError
        Where they do not, or nothing lowered it.
    """
    own = particulars.own_score
    if own is None:
        raise NoticeError("notice: no credit score is named", refusal="no_score", hint="give the score that was used")
    points = round(score / 1000)
    if not own.lowest <= points <= own.highest:
        raise NoticeError("notice: the score is outside the range of the particulars", refusal="score_out_of_range")
    factors = key_factors(ranked, inquiries=own.inquiries)
    return ScoreTold(points, own.lowest, own.highest, made_on, particulars.creditor.name, factors)


def _check_rules(template: Template, law: Lawbook, on: date) -> None:
    for name in template.rules:
        if not law.in_force(name, on):
            raise NoticeError(
                f"notice: the template '{template.id}' rests on '{name}', which does not hold on {on}",
                refusal="rule_not_in_force",
            )


def _check_apart(reasons: Sequence[str], score: ScoreTold | None) -> None:
    """Refuse a reason that is a key factor of the score, word for word: somebody took one list for the other."""
    if score is None:
        return
    mixed = {plain_text(it) for it in reasons} & {plain_text(it) for it in score.factors}
    if mixed:
        raise NoticeError(
            "notice: a principal reason is word for word a key factor of the score; the two lists are not the same",
            refusal="lists_mixed",
        )


def _of_a_score(score: ScoreTold | None) -> ScoreTold:
    if score is None:
        raise NoticeError("notice: a score is disclosed, and none is named", refusal="no_score")
    return score


def _bureaus(particulars: Particulars, ids: Sequence[str]) -> tuple[Bureau, ...]:
    known = {it.id: it for it in particulars.bureaus}
    for it in ids:
        if it not in known:
            raise NoticeError(f"notice: there is no bureau {it[:40]!r} in the particulars", refusal="unknown_bureau")
    return tuple(known[it] for it in dict.fromkeys(ids))


def _render(catalogue: Catalogue, template: Template, said: Mapping[str, Any], *, form: str) -> str:
    """Lay a notice out from the files that were approved; there is no other."""
    texts = catalogue.texts(template)
    environment = ImmutableSandboxedEnvironment(
        loader=FunctionLoader(lambda name: (texts[name], name, None) if name in texts else None),
        autoescape=form.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["day"] = _day
    try:
        say = environment.get_template(form).module
        body = environment.get_template(template.file).render({**said, "say": say})
        whole = Markup(body) if environment.autoescape else body  # noqa: S704  escaped where it was rendered
        page = str(say.page(template.title, template.language, whole))  # type: ignore[attr-defined]  # a macro
    except TemplateNotFound as error:
        told = _told(error, texts, form=form, what="words of another file")
        raise NoticeError(f"notice: {told}; wanted all in one", refusal="not_approved") from None
    except Exception as error:  # noqa: BLE001  a template can bring about any
        told = _told(error, texts, form=form, what=next(it for kind, it in _WRONG if isinstance(error, kind)))
        fields = ", ".join(sorted(said))
        wanted = f"wanted Jinja with the fields {fields}, the macros of 'say' and the filter 'day'"
        raise LawError(f"{told}; {wanted}") from None
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def _told(error: Exception, texts: Mapping[str, str], *, form: str, what: str) -> str:
    """Tell what a template says wrong, and where, in its own words and in none of what it was filled in with."""
    file, line = _place(error, texts) or (form, 1)  # it lacks the macro of the whole page
    says = texts[file].splitlines()[line - 1 : line] or [""]
    return f"{file}, line {line}: got {what}: {says[0].strip()[:_MOST_QUOTED]!r}"


def _place(error: Exception, texts: Mapping[str, str]) -> tuple[str, int] | None:
    """Give the file of a template, and the line of it, where an error came about."""
    if isinstance(error, TemplateSyntaxError):
        return str(error.filename), error.lineno
    place = None
    for frame, line in walk_tb(error.__traceback__):
        if (file := frame.f_code.co_filename) in texts and frame.f_code not in internal_code:
            compiled = frame.f_globals.get("__jinja_template__")  # none where Jinja has put the line right itself
            place = file, line if compiled is None else compiled.get_corresponding_lineno(line)
    return place


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
