"""A notice tells why credit was declined, or what lowered a score, and is refused rather than sent wrong."""

from __future__ import annotations

import shutil
from calendar import month_name
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.core.test_policy import made
from tests.core.test_policy_reader import rule
from tests.core.test_reasons import card, characteristic
from tests.governance.notices import desk
from tests.governance.notices.desk import CODES, SCORE, TODAY, by_the_score, declined, reason, stationery

from obligor.core.errors import LawError, NoticeError
from obligor.core.reasons import Reason, explain
from obligor.governance.law.citations import check_text
from obligor.governance.law.rules import the_law
from obligor.governance.notices.catalogue import TEMPLATES_FOLDER, Approval, Approvals, Catalogue
from obligor.governance.notices.factors import Codes, Standing, codes_of, key_factors, principal_reasons, standing
from obligor.governance.notices.particulars import Particulars, Party
from obligor.governance.notices.writing import (
    Declined,
    MissingTold,
    Notice,
    OfferTold,
    ScoreTold,
    own_score,
    vendor_score,
    write_notice,
)

if TYPE_CHECKING:
    from pathlib import Path

VENDOR = vendor_score(SCORE, desk.PARTICULARS)
ADVERSE, DISCLOSURE = "us-fed-adverse-action", "us-fed-score-disclosure"


def write(name: str = ADVERSE, *, of: Standing | None = None, **more: Any) -> Notice:
    used = {it: more.pop(it) for it in ("bureaus", "score", "reference", "offer", "missing") if it in more}
    of_one = Declined(of or by_the_score(), CODES, applied_on=TODAY, decided_on=TODAY, **({"reference": "A-1"} | used))
    return write_notice(name, of_one, **({"on": TODAY, "stationery": stationery()} | more))


OFFER = OfferTold((("Amount", "8,000 USD"), ("Term", "36 months")), "8.5 %", date(2026, 12, 20), None)
MISSING = MissingTold(("Income a year", "Address & proof of it"), date(2026, 12, 20))
UNDECIDED = Standing("refer", "score", (), (), "2026-11-26T12:00:00Z")


def fitting(name: str) -> dict[str, Any]:
    """Give what the notice of a template is written of, beside the decline."""
    kind = next(it.kind for it in Catalogue().templates if it.id == name)
    return {"counter_offer": {"offer": OFFER}, "incomplete": {"of": UNDECIDED, "missing": MISSING}}.get(kind, {})


def refusal(name: str = ADVERSE, **more: Any) -> str:
    with pytest.raises(NoticeError) as caught:
        write(name, **more)
    return caught.value.refusal


GOLDEN = {
    "utilisation": (40, 80, 45, 38),
    "inquiries": (10, 40, 36, 34),
    "tenure": (22, 60, 30, 26),
    "debt": (20, 50, 40, 36),
}
"""Points of the applicant; the most; the mean of all applicants; the mean of those at the cut-off."""


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        (1, [("utilisation", 40), ("tenure", 38), ("inquiries", 30), ("debt", 30)]),
        (2, [("inquiries", 26), ("debt", 20), ("tenure", 8), ("utilisation", 5)]),
        (3, [("inquiries", 24), ("debt", 16), ("tenure", 4)]),
    ],
    ids=["below the most", "below the mean of all", "below the mean at the cut-off"],
)
def test_only_below_the_most_would_tell_the_golden_applicant_utilisation_first(
    place: int, wanted: list[tuple[str, int]]
) -> None:
    golden = card(*(characteristic(name, (it[0], it[1], 0), reference=it[place]) for name, it in GOLDEN.items()))
    assert [(it.code, it.shortfall * 1000) for it in explain(golden, (0, 0, 0, 0))] == wanted


def test_an_adverse_action_notice_tells_the_principal_reasons_in_their_order() -> None:
    notice = write(bureaus=["one", "two"], score=VENDOR)
    assert notice.reasons == ("Many recent inquiries", "Debt is high for the income")
    assert notice.factors == ()
    assert notice.text.index(notice.reasons[0]) < notice.text.index(notice.reasons[1])
    for told in (
        "Lender & Sons",
        "1 Main Street",
        "Bureau of Consumer Financial Protection",
        "Bureau One",
        "Bureau Two",
    ):
        assert told in notice.text
    assert "Equal Credit Opportunity Act prohibits creditors" in notice.text
    assert not any(factor in notice.text for factor in SCORE.factors)


@pytest.mark.parametrize(
    "name", [it.id for it in Catalogue().templates if it.kind not in ("score_disclosure", "incomplete")]
)
@given(points=st.lists(st.integers(1, 999_999), min_size=2, max_size=2, unique=True))
def test_no_notice_tells_an_applicant_how_many_points_a_reason_weighs(name: str, points: list[int]) -> None:
    """Whoever collects notices learns reasons and their order, and nothing of the card's numbers."""
    most, least = sorted(points, reverse=True)

    def told(first: float, second: float) -> tuple[str, str]:
        of = declined(
            reason("inquiries", "Many inquiries", shortfall=first), reason("debt", "Much debt", shortfall=second)
        )
        notice = write(name, of=of, on=date(2027, 7, 1), **fitting(name))  # every rule is in force by then
        return notice.text, notice.html

    assert told(most / 1000, least / 1000) == told(2.0, 1.0)


LAID_OUT = """\
NOTICE OF ACTION TAKEN AND STATEMENT OF REASONS

Date: 26 November 2026
Application: A-1
Decided on: 26 November 2026

Lender & Sons
1 Main Street
Springfield
Telephone +1 555 0100

Thank you for your application for credit. We are unable to approve it.

PRINCIPAL REASONS FOR OUR DECISION

  1. Many recent inquiries
  2. Debt is high for the income

INFORMATION FROM A CONSUMER REPORTING AGENCY

Our decision was based in whole or in part on information in a report from
"""


def test_a_notice_is_laid_out_line_by_line_and_names_a_bureau_once() -> None:
    text = write(bureaus=["one", "one"]).text
    assert text.startswith(LAID_OUT)
    assert text.endswith("\n\nBureau of Consumer Financial Protection\n1700 G Street NW\nWashington DC 20006\n")
    assert text.count("Bureau One") == 1


@pytest.mark.parametrize("month", range(1, 13))
def test_a_notice_tells_the_day_it_is_of_and_the_day_of_the_decision_each_as_one_says_it(month: int) -> None:
    on, decided_on = date(2027, month, 28), date(2026, month, 5)
    of = Declined(by_the_score(), CODES, reference="A-1", applied_on=TODAY, decided_on=decided_on)
    text = write_notice(ADVERSE, of, on=on, stationery=stationery()).text
    assert f"Date: 28 {month_name[month]} 2027\n" in text
    assert f"Decided on: 5 {month_name[month]} 2026\n" in text


def test_without_a_bureau_nothing_is_said_of_one() -> None:
    assert "reporting agency" not in write().text


def test_a_score_is_disclosed_with_range_date_source_and_inquiries_as_a_fifth_factor() -> None:
    notice = write(DISCLOSURE, score=VENDOR, bureaus=["one"])
    assert notice.factors == (*SCORE.key_factors, "Number of recent inquiries on credit report")
    assert notice.reasons == ()
    for told in ("587", "from 300 to 850", "20 November 2026", "Bureau One", *notice.factors):
        assert told in notice.text
    assert not any(it["text"] in notice.text for it in by_the_score().reasons)


def test_text_and_html_say_the_same() -> None:
    for name in (ADVERSE, DISCLOSURE, "eu-ccd2-refusal"):
        notice = write(name, score=VENDOR, bureaus=["one"])
        assert words(notice.text) - {"1", "2", "3", "4", "5"} <= words(read_html(notice.html))
        assert notice.html == write(name, score=VENDOR, bureaus=["one"]).html


def words(text: str) -> set[str]:
    return {it.strip(".:,()").casefold() for it in text.split()} - {""}


def read_html(page: str) -> str:
    parts: list[str] = []
    reader = HTMLParser()
    reader.handle_data = parts.append  # type: ignore[method-assign]
    reader.feed(page)
    return " ".join(parts)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "{{ 7 * 7 }}", "{% raw %}", "\u202ereversed"])
def test_what_a_card_or_a_reviewer_says_is_shown_as_it_stands(text: str) -> None:
    notice = write(of=declined(reason("debt", f"x {text} y")), reference=text)
    assert "<script>" not in notice.html
    assert "49" not in notice.html
    assert text in notice.text


@pytest.mark.parametrize("outcome", ["approve", "refer", "hold"])
def test_nobody_is_told_of_a_decline_that_was_none(outcome: str) -> None:
    for name in (ADVERSE, DISCLOSURE):
        assert refusal(name, of=declined(reason("debt"), outcome=outcome), score=VENDOR) == "no_decline"


@pytest.mark.parametrize(
    ("of", "wanted"),
    [
        (declined(), "no_reason"),
        (declined(*[reason("debt")] * 5), "too_many_reasons"),
        (declined(reason("debt", "  ")), "reason_without_text"),
        (declined(reason("debt", shortfall=0.0)), "no_shortfall"),
        (declined({"code": "debt", "feature": "debt", "text": "Much debt"}), "no_shortfall"),
        (declined(reason("debt", "Failed to achieve a qualifying credit score")), "insufficient_text"),
        (declined(reason("debt", "By our internal policies")), "insufficient_text"),
        (declined(reason("debt", "Your score was too low")), "insufficient_text"),
        (declined(reason("debt", "The required score is higher")), "insufficient_text"),
        (declined(reason("bureau-factor", "Serious delinquency")), "foreign_reason"),
        (declined(reason("age"), because="score"), "foreign_reason"),
        (declined(reason("debt"), because="knockout:too-young"), "foreign_reason"),
        (declined(reason("debt"), because="gate:kyc:fail"), "foreign_reason"),
        (declined(because="review"), "no_reason"),
    ],
)  # fmt: skip
def test_a_notice_whose_reasons_would_be_wrong_is_refused(of: Standing, wanted: str) -> None:
    assert refusal(of=of) == wanted
    assert refusal(DISCLOSURE, of=of, score=VENDOR) == wanted


def test_four_reasons_are_told_each_as_one_line_in_their_order() -> None:
    texts = ["Many inquiries", "Much debt", "Short employment", "High utilisation"]
    of = declined(*(reason(it, f" {text} ") for it, text in zip(sorted(CODES.families), texts, strict=True)))
    assert write(of=of).reasons == tuple(texts)


def test_a_reason_is_of_the_family_of_the_card_or_the_code_of_the_rule_and_else_of_its_name() -> None:
    one, other = (
        characteristic("income", (1, 0), reference=1, family="means"),
        characteristic("debt", (1, 0), reference=1),
    )
    rules = [rule("TRUE", name="young", code="K7"), rule("TRUE", name="old")]
    codes = codes_of(card(one, other), made(knockouts=rules))
    assert codes == Codes({"means", "debt"}, {"young": "K7", "old": "old"})


def test_a_rule_that_declines_by_itself_is_the_reason() -> None:
    notice = write(of=declined(reason("age", "You are not yet 18", shortfall=0.0), because="knockout:too-young"))
    assert notice.reasons == ("You are not yet 18",)


def test_what_two_rules_say_alike_is_said_once() -> None:
    twice = declined(
        reason("age", "You are not yet 18"), reason("bankruptcy", "you  are not yet 18"), because="knockout:too-young"
    )
    assert principal_reasons(twice, codes=CODES) == ("You are not yet 18",)


def test_an_identity_that_failed_is_told_and_what_compliance_found_is_not() -> None:
    assert write(of=declined(reason("kyc", "We could not verify your identity"), because="gate:kyc:fail")).reasons
    for name in (ADVERSE, DISCLOSURE, "eu-ccd2-refusal"):
        with pytest.raises(NoticeError) as caught:
            write(name, of=declined(reason("aml", "on a list"), because="gate:aml:fail"), score=VENDOR)
        assert caught.value.refusal == "not_for_a_template"
        assert not {"aml", "list", "sanction", "laundering"} & words(caught.value.message)


def test_a_principal_reason_that_is_a_vendors_factor_word_for_word_is_refused() -> None:
    mixed = declined(reason("debt", "serious  DELINQUENCY"))
    assert refusal(of=mixed, score=VENDOR, bureaus=["one"]) == "lists_mixed"
    word = {"outcome": "decline", "decided_at": "", "factors": [{"code": "review", "text": "Serious delinquency"}]}
    reviewed = standing({"outcome": "decline", "decided_at": "2026-11-26T12:00:00Z"}, word)
    assert refusal(of=reviewed, score=VENDOR) == "lists_mixed"
    assert write(of=mixed).reasons


def test_after_a_review_the_reviewers_factors_are_the_reasons_and_not_those_of_the_score() -> None:
    record = {"outcome": "decline", "because": "score", "reasons": by_the_score().reasons, "knockouts": []}
    record["decided_at"] = "2026-11-26"
    review: dict[str, Any] = {
        "outcome": "decline",
        "decided_at": "2026-12-20",
        "factors": [{"code": "review", "text": "Income could not be shown"}],
    }
    notice = write(of=standing(record, review))
    assert notice.reasons == ("Income could not be shown",)
    assert "a person has looked again" in notice.text
    assert refusal(of=standing(record, review | {"factors": []})) == "no_reason"
    assert refusal(of=standing(record, review | {"outcome": "approve"})) == "no_decline"


def test_after_an_override_the_persons_factors_are_the_reasons_and_nobody_is_told_that_they_asked() -> None:
    record = {"outcome": "refer", "because": "grey_zone", "reasons": (), "knockouts": [], "decided_at": "2026-11-26"}
    word: dict[str, Any] = {
        "outcome": "decline",
        "decided_at": "2026-12-20",
        "factors": [{"code": "override", "text": "Employment could not be verified"}],
    }
    notice = write(of=standing(record, word, said_by="override"))
    assert notice.reasons == ("Employment could not be verified",)
    assert "a person has looked again" not in notice.text
    assert refusal(of=standing(record, word | {"factors": []}, said_by="override")) == "no_reason"
    assert refusal(of=standing(record, word | {"outcome": "approve"}, said_by="override")) == "no_decline"


def test_a_decline_is_of_the_day_on_which_it_was_first_said() -> None:
    record = {"reasons": (), "knockouts": [], "because": "score", "decided_at": "2026-11-26"}
    word = {"outcome": "decline", "factors": (), "decided_at": "2026-12-20"}
    assert standing(record | {"outcome": "refer"}, word, said_by="override").decided_at == "2026-12-20"
    assert standing(record | {"outcome": "decline"}, word).decided_at == "2026-11-26"
    assert standing(record | {"outcome": "decline"}).decided_at == "2026-11-26"


@pytest.mark.parametrize(
    ("outcome", "before", "day"),
    [
        ("refer", [("decline", "2026-12-01")], "2026-12-01"),  # which the review kept
        ("decline", [("approve", "2026-12-01")], "2026-12-20"),  # which the review declined anew
        ("decline", [("approve", "2026-12-01"), ("decline", "2026-12-08")], "2026-12-08"),
        ("decline", [("decline", "2026-12-01")], "2026-11-26"),
    ],
)
def test_a_decline_that_a_review_kept_is_of_the_day_of_the_person_whom_it_agreed_with(
    outcome: str, before: list[tuple[str, str]], day: str
) -> None:
    record = {"outcome": outcome, "reasons": (), "knockouts": [], "because": "score", "decided_at": "2026-11-26"}
    word = {"outcome": "decline", "factors": (), "decided_at": "2026-12-20"}
    assert standing(record, word, before=before).decided_at == day


def test_a_template_that_is_missing_or_in_another_language_is_refused() -> None:
    assert refusal("us-fed-nothing") == "no_template"
    assert refusal(language="es") == "wrong_language"
    spanish = desk.PARTICULARS.model_copy(update={"language": "es"})
    assert refusal(stationery=stationery(particulars=spanish)) == "wrong_language"
    assert refusal(stationery=stationery(particulars=spanish), language="en") == "wrong_language"


def test_a_template_that_two_people_have_not_approved_as_it_is_is_refused(tmp_path: Path) -> None:
    none = Approvals(schema="obligor/approvals/1", templates=())
    assert refusal(stationery=stationery(approvals=none)) == "not_approved"
    assert refusal(on=TODAY - timedelta(days=1)) == "not_approved"
    for changed in ("us-fed-adverse-action.en.j2", "form.html.j2", "index.yaml"):
        folder = tmp_path / changed
        shutil.copytree(TEMPLATES_FOLDER, folder)
        text = (folder / changed).read_text()
        (folder / changed).write_text(
            text.replace("o", "0", 1) if changed != "index.yaml" else text.replace("Notice", "Not1ce")
        )
        assert refusal(stationery=stationery(catalogue=Catalogue(folder))) == "not_approved"


def test_no_template_takes_words_from_a_file_that_nobody_approved(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    shutil.copytree(TEMPLATES_FOLDER, folder)
    wording = folder / "us-fed-adverse-action.en.j2"
    wording.write_text(wording.read_text() + "{% include 'more.j2' %}")
    (folder / "more.j2").write_text("You may ask us for a review.")
    known = Catalogue(folder)
    approved = stationery(catalogue=known, approvals=desk.approvals(known))
    (folder / "more.j2").write_text("You may not ask us for anything.")
    assert refusal(stationery=approved) == "not_approved"


NAME = "Zoë-Canary-7731"


def broken(folder: Path, file: str, line: str, **more: Any) -> LawError:
    """Add a line to a file that a notice is made of, have it approved, and give what is told of it."""
    shutil.copytree(TEMPLATES_FOLDER, folder)
    path = folder / file
    path.write_text(f"{line}\n{path.read_text()}")
    known = Catalogue(folder)
    with pytest.raises(LawError) as told:
        write(stationery=stationery(catalogue=known, approvals=desk.approvals(known)), **more)
    return told.value


@pytest.mark.parametrize("file", ["us-fed-adverse-action.en.j2", "form.txt.j2"])
@pytest.mark.parametrize(
    ("line", "got"),
    [
        ("{{ on * }}", "what is no template"),
        ("{% if on %}{% endfor %}", "what is no template"),
        ("{% wish on %}", "what is no template"),
        ("{{ 'a' | euro }}", "a filter, a test or a block that is not there"),
        ("{{ 'a' is a_wish }}", "a filter, a test or a block that is not there"),
        ("{% if true %}{{ 'a' | euro }}{% endif %}", "a filter, a test or a block that is not there"),
        ("{{ no_such_field }}", "a field that is not there"),
        ("{{ ().__class__.__mro__ }}", "what no notice may do"),
        ("{{ range(1000000000) }}", "what cannot be worked out"),
        ("{{ 1 / 0 }}", "what cannot be worked out"),
        ("{{ 'a' | day }}", "what cannot be worked out"),
    ],
)
def test_what_a_template_says_wrong_is_told_by_its_file_and_line_and_its_own_words(
    tmp_path: Path, file: str, line: str, got: str
) -> None:
    error = broken(tmp_path / "templates", file, f"{{# a wish #}}\n{line}")
    assert error.message.startswith(
        f"{file}, line 2: got {got}: {line!r}; wanted Jinja with the fields agency, bureaus, "
    )
    assert error.kind == "invalid"  # which exits 2


@pytest.mark.parametrize(
    "line",
    [
        "{{ creditor[reference] }}",
        "{{ {}[reference] }}",
        "{{ reference | int + none }}",
        "{{ (reference | list)[99] }}",
    ],
)
def test_what_a_template_says_wrong_of_a_person_is_told_without_them(tmp_path: Path, line: str) -> None:
    error = broken(tmp_path / "templates", "us-fed-adverse-action.en.j2", line, reference=NAME)
    assert f"line 1: got {'what' if 'none' in line else 'a field'}" in error.message
    assert NAME not in f"{error.message} {error.hint} {error.__cause__}"


def test_a_file_that_is_named_as_a_person_is_not_told(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    shutil.copytree(TEMPLATES_FOLDER, folder)
    (folder / "us-fed-adverse-action.en.j2").write_text("{% include reference %}")
    known = Catalogue(folder)
    with pytest.raises(
        NoticeError, match=r"line 1: got words of another file: '\{% include reference %\}'; wanted"
    ) as told:
        write(stationery=stationery(catalogue=known, approvals=desk.approvals(known)), reference=NAME)
    assert NAME not in told.value.message


def test_a_form_without_its_page_is_told_by_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    shutil.copytree(TEMPLATES_FOLDER, folder)
    form = folder / "form.txt.j2"
    form.write_text(form.read_text().replace("macro page(", "macro sheet("))
    known = Catalogue(folder)
    with pytest.raises(LawError, match=r"form\.txt\.j2, line 1: got what cannot be worked out"):
        write(stationery=stationery(catalogue=known, approvals=desk.approvals(known)))


@pytest.mark.parametrize(
    "changed",
    [{"approved_by": ("Ada", " ")}, {"approved_by": ("Ada", "B" * 101)}, {"sha256": "0" * 63}, {"sha256": "G" * 64}],
)
def test_an_approval_is_of_two_names_and_a_hash(changed: dict[str, Any]) -> None:
    said = {"template": "t", "language": "en", "sha256": "0" * 64, "approved_by": ("Ada", "Ben"), "approved_on": TODAY}
    assert Approval(**said)
    with pytest.raises(ValidationError):
        Approval(**said | changed)


def test_a_template_stands_once_in_a_language_and_its_file_is_there_in_utf_8(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES_FOLDER, tmp_path / "it")
    index, wording = tmp_path / "it" / "index.yaml", tmp_path / "it" / "us-fed-adverse-action.en.j2"
    known = Catalogue(index.parent)
    wording.write_bytes(b"\xff")
    with pytest.raises(LawError, match=r"us-fed-adverse-action\.en\.j2: is not UTF-8"):
        known.texts(known.find(ADVERSE, language="en"))
    wording.unlink()
    with pytest.raises(LawError, match=r"us-fed-adverse-action\.en\.j2: cannot be read \(No such file"):
        known.texts(known.find(ADVERSE, language="en"))
    index.write_text(index.read_text().replace(DISCLOSURE, ADVERSE))
    with pytest.raises(LawError, match="a template stands twice in one language"):
        Catalogue(index.parent)


@pytest.mark.parametrize("other", ["ada  l", "person:ada l"])
def test_one_person_does_not_approve_a_template_alone_under_two_spellings(other: str) -> None:
    with pytest.raises(LawError, match="was approved by one person"):
        Approval(template="t", language="en", sha256="0" * 64, approved_by=("Ada L", other), approved_on=TODAY)


def test_a_template_that_rests_on_a_rule_that_does_not_hold_yet_is_refused() -> None:
    assert refusal("us-co-adverse-outcome") == "rule_not_in_force"
    assert write("us-co-adverse-outcome", on=date(2027, 1, 1)).reasons


def test_a_score_is_not_disclosed_where_none_was_used_or_its_bureau_is_not_known() -> None:
    assert refusal(DISCLOSURE) == "no_score"
    assert refusal(bureaus=["three"]) == "unknown_bureau"
    with pytest.raises(NoticeError, match="no bureau 'three'"):
        vendor_score(SCORE.model_copy(update={"bureau": "three"}), desk.PARTICULARS)


RANKED = tuple(Reason(it, it, 9.0 - at, f"about {it}") for at, it in enumerate(("a", "b", "c", "d", "e", "inquiries")))


def test_the_lenders_own_score_is_told_only_where_its_counsel_holds_it_to_be_one() -> None:
    with pytest.raises(NoticeError, match="no credit score is named"):
        own_score(587_000, RANKED, made_on=TODAY, particulars=desk.PARTICULARS)
    told = own_score(587_400, RANKED, made_on=TODAY, particulars=desk.OWN)
    assert told == ScoreTold(
        587, 300, 850, TODAY, "Lender & Sons", ("about a", "about b", "about c", "about d", "about inquiries")
    )
    for points, is_told in ((299, False), (300, True), (850, True), (851, False)):
        if is_told:
            assert own_score(points * 1000, RANKED, made_on=TODAY, particulars=desk.OWN).score == points
        else:
            with pytest.raises(NoticeError, match="outside the range"):
                own_score(points * 1000, RANKED, made_on=TODAY, particulars=desk.OWN)


@given(st.permutations(RANKED), st.integers(0, 6))
def test_key_factors_are_four_in_order_and_inquiries_beside_them(order: list[Reason], count: int) -> None:
    ranked = order[:count]
    if not ranked:
        with pytest.raises(NoticeError, match="nothing lowered the score"):
            key_factors(ranked, inquiries="inquiries")
        return
    told = key_factors(ranked, inquiries="inquiries")
    assert told[:4] == tuple(it.text for it in ranked[:4])
    assert len(told) <= 5
    assert ("about inquiries" in told) == any(it.code == "inquiries" for it in ranked)
    assert key_factors(ranked) == tuple(it.text for it in ranked[:4])


def test_a_key_factor_without_a_text_is_refused_and_a_text_is_told_without_its_margins() -> None:
    assert key_factors([RANKED[0]._replace(text=" Much debt ")]) == ("Much debt",)
    with pytest.raises(NoticeError, match="key factor 'b' has no text"):
        key_factors([RANKED[0], RANKED[1]._replace(text=" ")])


@pytest.mark.parametrize(
    "changed",
    [
        {"key_factors": SCORE.key_factors * 2},
        {"key_factors": ()},
        {"score": 299},
        {"score": 851},
        {"inquiries": SCORE.key_factors[0]},
        {"score": "587"},
    ],
)  # fmt: skip
def test_a_score_that_contradicts_itself_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises((LawError, ValidationError)):
        type(SCORE)(**(SCORE.model_dump(by_alias=True) | changed))


def test_a_score_at_either_end_of_its_range_is_told_with_no_factor_of_inquiries_where_there_is_none() -> None:
    for end in (SCORE.lowest, SCORE.highest):
        used = type(SCORE)(**(SCORE.model_dump(by_alias=True) | {"score": end, "inquiries": None}))
        told = vendor_score(used, desk.PARTICULARS)
        assert (told.score, told.factors) == (end, SCORE.key_factors)


def test_the_particulars_of_a_lender_name_a_bureau_once_and_every_line_of_theirs_is_one() -> None:
    said = dict(desk.PARTICULARS) | {"schema": "obligor/particulars/1"}
    said.pop("schema_")
    assert Particulars(**said) == desk.PARTICULARS
    with pytest.raises(LawError, match="two bureaus have the same id"):
        Particulars(**said | {"bureaus": desk.BUREAUS[:1] * 2})
    for line in ("", " ", "two\nlines", "x" * 501):
        with pytest.raises(ValidationError):
            Party(name="Lender", address=(line,))


def test_every_template_cites_rules_that_are_there_and_says_nothing_that_does_not_hold() -> None:
    catalogue = Catalogue()
    for it in catalogue.templates:
        assert all(the_law().rule(rule).status == "in_force" for rule in it.rules)
        assert check_text((catalogue.folder / it.file).read_text(), the_law(), on=TODAY) == ()
        notice = write(it.id, score=VENDOR, on=date(2027, 1, 1), **fitting(it.id))
        assert notice.text.startswith(it.title.upper())


def test_a_counter_offer_with_its_denial_tells_the_terms_and_the_reasons_for_what_was_declined() -> None:
    notice = write("us-fed-counter-offer", offer=OFFER, bureaus=["one"])
    assert notice.reasons == ("Many recent inquiries", "Debt is high for the income")
    for told in ("Amount: 8,000 USD", "Term: 36 months", "Rate a year: 8.5 %", "by 20 December 2026", "Bureau One"):
        assert told in notice.text, told
    assert "Equal Credit Opportunity Act prohibits creditors" in notice.text
    assert "Rate" not in write("us-fed-counter-offer", offer=OFFER._replace(rate=None)).text


def test_a_notice_of_incompleteness_tells_what_is_missing_until_when_and_what_comes_of_silence() -> None:
    notice = write("us-fed-incomplete", of=UNDECIDED, missing=MISSING)
    assert (notice.reasons, notice.factors) == ((), ())
    for told in ("1. Income a year", "2. Address & proof of it", "20 December 2026", "further consideration"):
        assert told in " ".join(notice.text.split()), told
    assert "Address &amp; proof" in notice.html


@pytest.mark.parametrize(
    ("name", "accepted", "wanted"),
    [
        (ADVERSE, None, "counter_offer_open"),
        (ADVERSE, True, "counter_offer_accepted"),
        (DISCLOSURE, True, "counter_offer_accepted"),
        ("us-fed-counter-offer", True, "counter_offer_accepted"),
        ("us-fed-counter-offer", False, "counter_offer_over"),
        ("eu-ccd2-refusal", None, "counter_offer_open"),
    ],
)
def test_a_notice_that_contradicts_how_far_a_counter_offer_has_come_is_refused(
    name: str, *, accepted: bool | None, wanted: str
) -> None:
    assert refusal(name, offer=OFFER._replace(accepted=accepted), score=VENDOR) == wanted


def test_a_decline_whose_counter_offer_was_not_accepted_is_told_and_its_score_beside_an_offer_that_is_open() -> None:
    assert write(offer=OFFER._replace(accepted=False)).reasons
    assert write(DISCLOSURE, offer=OFFER, score=VENDOR).factors
    assert refusal("us-fed-counter-offer") == "no_counter_offer"


@pytest.mark.parametrize("outcome", ["decline", "approve"])
def test_what_is_missing_is_asked_for_only_where_somebody_said_so_and_nothing_was_decided(outcome: str) -> None:
    assert refusal("us-fed-incomplete", of=UNDECIDED) == "not_incomplete"
    assert refusal("us-fed-incomplete", of=declined(outcome=outcome), missing=MISSING) == "was_decided"
    assert write("us-fed-incomplete", of=UNDECIDED._replace(outcome="hold"), missing=MISSING).text
