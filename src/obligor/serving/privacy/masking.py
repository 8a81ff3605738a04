"""What of an answer is told to whom: one table of fields, and one place that masks by it, for every door and every export.

A field is called by its name, whatever holds it: an answer of REST or gRPC, an event, a record, a column of the store. A field
that the table does not know is masked, and a test fails for each that some answer or table has and this table has not. The
fields of an application are no fields here: they are masked by the class that the contract gives their column.

To whoever submitted an application nothing is masked of what they sent. Others see it masked; who develops or validates models
sees it pseudonymised: without what tells whose it is, and with a tag in place of a name, so that applications of one person are
known to be of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from obligor.core.columns import Role
from obligor.core.scorer import card_features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from obligor.core.application import Form
    from obligor.core.columns import Column
    from obligor.core.scorecard import Scorecard

Tells = Literal["open", "name", "bin", "said", "words", "sealed", "secret"]
View = Literal["own", "masked", "pseudonymised"]
Class = Literal["none", "quasi", "direct", "card", "identifier", "protected"]

_FIELDS: Final[Mapping[Tells, str]] = {
    # Of the decision, the card, the law, the log, the service and the lender's own people; ids and hashes of ours.
    "open": """
        decision_id decided_at outcome because score pd band cutoff reasons code text unusual pins receipt leaf_index
        tree_size card_sha256 policy_sha256 profile_sha256 release simulated results decision problem decisions next_cursor
        report_id status observed_on reported_at review_id requested_at due_on due_at pack rule state reviews verdict late
        new_decision_id reveal_id revealed_at fields purpose masked classes field message type title detail errors replayed
        feature missing points shap shap_log_odds name start end changes scored features shortfall horizon_months approved
        base_points mean contributions withheld pairs counterfactuals waterfall knockouts card profile dependencies version
        schema route gates bins client_id index kind hash level size one at erased erased_at keys_destroyed by placed_at
        outcomes released_at created_at retired_at destroyed_at key_id expires_at revoked_at scopes user_id role proposed_by
        disabled_at change_id step replaces_sha256 event_id sequence event_types endpoint_id attempts due_since tried_since
        next_at claim last_status last_trouble settled_at previous_until anchor note number signature sha256 user token_type
        expires_in application applications alert_id alerts algorithm began born cleared_by concerns days entries entry
        entry_sha256 fresh in_force list_sha256 loaded_at may needs_second not_comparable opened opened_at past programmes
        published roles rules_sha256 screened seen_at signs_in source strength until users why
        confirmed_at confirmed_by doubted_by report_due_on reference report_reference reported_by reported_late
        reported_on reports year yearly_report_due_on yearly_reports
        act agreed_by proposal_id proposals replaced_by said withdrawn_because
        account_closed client keys overlap_hours replaces before closed checkpoint from to
        screening_id result screened_at system on_fail reason elsewhere when
        is linked_at compared links other_index next
        networks not_told list_kind broken finding examined_by
        stands said_by said_at told_late_at expired direction role
        actions step done_on accepted offered_on answered_on respond_by
        explanation unexplained decided_by factor effect together decided_again of_changes
        acts about
    """,
    "name": "application_id person_id",
    "bin": "bin from_bin to_bin",
    "said": "input corrections values given terms rate",
    "words": "statement factors rationale instead",
    "sealed": """
        sealed subject key payload_sha256 input_sha256 idempotency_key response record salt body leaf payload wrapped proof
        commitment evidence_hash subject_hash mark beside
    """,
    "secret": "access_token api_key password password_sha256 secret previous_secret secret_sha256 url",
}
FIELDS: Final[Mapping[str, Tells]] = {name: tells for tells, names in _FIELDS.items() for name in names.split()}
"""What each field tells."""

HIDDEN: Final = "***"
_LONG: Final = 9
_SHOWN: Final = 3
_LAST: Final = 4
_CARD: Final = re.compile(r"\D*(?:\d\D*){13,19}")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def class_of(column: Column) -> Class:
    """Give the class that a column is masked by."""
    if column.privacy in ("direct", "card"):
        return column.privacy
    if Role.PROTECTED in column.role:
        return "protected"
    return "identifier" if Role.IDENTIFIER in column.role else column.privacy


def masked(value: object, of: Class) -> object:
    """Mask a value: of a day its year, of a number its first digit, of a card or a long name its end, of the rest nothing."""
    if value is None or of == "none":
        return value
    if of == "quasi":
        return _rounded(value)
    text, shown = str(value), 0
    if of == "card":
        shown = _LAST if _CARD.fullmatch(text) else 0
    elif of in ("direct", "identifier"):
        shown = _SHOWN if len(text) >= _LONG else 0
    return HIDDEN + text[len(text) - shown :]


def _rounded(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"about {value:.0e}"
    if isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value)):
        return str(value)[:4]
    return HIDDEN


@dataclass(frozen=True, slots=True)
class Masks:
    """How what an application says is masked, by the columns of a card and its policy."""

    classes: Mapping[str, Class]
    """By the name of the column."""
    personal: frozenset[str]
    """Characteristics that tell of a personal column or a history."""

    @classmethod
    def of(cls, form: Form, card: Scorecard) -> Masks:
        """Lay it out; a history is personal whole."""
        classes = {name: class_of(it) for name, it in form.columns.items()}
        features = card_features(card)
        private = {name for name, it in classes.items() if it != "none"} | set(features.aggregates)
        personal = {it.feature for it in card.characteristics if private & set(features.needed_for([it.feature]))}
        return cls(classes, frozenset(personal))

    def told(self, answer: Mapping[str, Any], view: View) -> dict[str, Any]:
        """Give an answer as it is told in a view."""
        return dict(answer) if view == "own" else self._told(answer, "")

    def said(
        self, fields: Mapping[str, Any], view: View, *, tag: Callable[[str], str] = lambda _: HIDDEN
    ) -> dict[str, Any]:
        """Give the fields of an application as they are told in a view; ``tag`` names what identifies without telling it."""
        return {name: self._field(name, value, view, tag) for name, value in fields.items()}

    def class_of(self, name: str) -> str:
        """Give the class of a field of an application; what is no column is a history."""
        return self.classes.get(name, "history")

    def _field(self, name: str, value: Any, view: View, tag: Callable[[str], str]) -> Any:
        of = self.classes.get(name)
        if of is None:
            return {"rows": len(value)} if isinstance(value, list | tuple) else HIDDEN
        if view == "pseudonymised" and of in ("identifier", "direct", "card"):
            return None if value is None else tag(f"{name}\0{value}")
        return masked(value, of)

    def _told(self, told: Any, feature: str) -> Any:
        if isinstance(told, list | tuple):
            return [self._told(it, feature) for it in told]
        if not isinstance(told, dict):
            return told
        feature = str(told.get("feature", feature))
        return {name: self._one(name, value, feature) for name, value in told.items()}

    def _one(self, name: str, value: Any, feature: str) -> Any:
        tells = FIELDS.get(name)
        if tells == "open":
            return self._told(value, feature)
        if value is None or tells == "sealed":
            return value
        if tells == "name":
            return masked(value, "identifier")
        if tells == "bin":
            return HIDDEN if feature in self.personal else value
        if tells == "said" and isinstance(value, dict):
            return self.said(value, "masked")
        return HIDDEN
