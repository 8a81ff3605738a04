"""What is in force: a card, a policy and a compliance profile together, checked, compiled, and swapped in one step.

A release is trusted where its statement bears the signature of the deployment's key and names the hashes of the three. A newer
one has a higher number, and a lower number is never taken up again. A decision keeps the release that it began with.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgspec

from obligor.build import running_code
from obligor.core.applicant import applicant_columns
from obligor.core.application import form_of
from obligor.core.canonical import canonical_json
from obligor.core.columns import Role
from obligor.core.decision import NOT_EVALUATED, decide
from obligor.core.errors import IntegrityError, UnavailableError
from obligor.core.explanation import Explaining
from obligor.core.leaves import time_text
from obligor.core.policy import check_policy, parse_policy
from obligor.core.policy_reader import compile_policy
from obligor.core.profile import in_force, parse_profile
from obligor.core.reasons import compile_reasons
from obligor.core.recourse import rescoring
from obligor.core.scopes import compile_scopes
from obligor.core.scorecard import CardCutoff, parse_card
from obligor.core.scorer import compile_card
from obligor.core.strict_json import read_strict_json
from obligor.core.unusual import Watch
from obligor.serving.encoding import encode
from obligor.serving.gates.gate import told_outside
from obligor.serving.privacy.masking import Masks
from obligor.serving.privacy.personal import Personal
from obligor.serving.reading import ApplicationReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from obligor.core.application import Application
    from obligor.core.columns import Column
    from obligor.core.decision import Decision
    from obligor.core.policy import Policy
    from obligor.core.policy_reader import PolicyReader
    from obligor.core.profile import Profile
    from obligor.core.reasons import Explainer
    from obligor.core.scopes import Scoping
    from obligor.core.scorecard import Scorecard
    from obligor.core.scorer import Score, Scorer
    from obligor.serving.archive import Archive, StoredRelease

PURPOSE = "release"
SCHEMA = "obligor/release/1"
_MOST_PINNED = 8
_MOST_CUTOFFS = 32
_THOUSANDTHS = 1000


class Assessment(msgspec.Struct, frozen=True):
    """What a release says of one application."""

    score: Score
    decision: Decision
    unusual: tuple[str, ...]
    """Fields whose values fell out of their range or were never seen, and why; never the value."""
    scopes: tuple[str, ...] = ()
    """The scope of the profile that held, or those that may have; none where the profile has no scopes."""

    def to_plain(self) -> dict[str, Any]:
        """Give what a record keeps of it: scores in thousandths, PDs as rates."""
        score, decision = self.score, self.decision
        return {
            "score": score.score,
            "pd": score.pd,
            "band": score.band,
            "bins": score.bins,
            "points": score.points,
            "cutoff": decision.cutoff,
            "outcome": decision.outcome,
            "because": decision.because,
            "reasons": [
                {"code": code, "feature": feature, "shortfall": shortfall, "text": text}
                for code, feature, shortfall, text in decision.reasons
            ],
            "knockouts": decision.knockouts,
            "gates": {name: {"state": it.state, "result": it.result} for name, it in decision.gates.items()},
            "unusual": self.unusual,
            **({"scopes": self.scopes} if self.scopes else {}),
        }


@dataclass(frozen=True, slots=True)
class Release:
    """A card, a policy and a profile, compiled."""

    number: int
    card: Scorecard
    policy: Policy
    profile: Profile
    pins: Mapping[str, Any]
    """What every decision keeps: the hashes of the three, the number of the release, and the version of the code."""
    reader: ApplicationReader
    scorer: Scorer
    reasons: Explainer
    policy_reader: PolicyReader
    watch: Watch
    """Tells what is unusual about an application."""
    identifier: str | None
    """The column that names an application, where the card has one."""
    explaining: Callable[[int], Explaining]
    """Lays the card out for explaining at a cut-off, and keeps it for the cut-offs used last."""
    texts: tuple[str, ...]
    """The columns of text, in the order of the form."""
    scoping: Scoping | None
    """The scopes of the profile, where it has any."""
    asks: bool
    """Whether any gate is asked before a decision: the profile has not all of them off, in all of its scopes."""
    masks: Masks
    """How what it says is masked."""
    personal: Personal
    """What of an application is personal, and whom it is about."""
    pins_json: msgspec.Raw
    """The pins as they stand in a record."""
    unasked_json: msgspec.Raw
    """The gates as they stand in a record where none was asked."""
    compared: tuple[str, ...]
    """What of an application moves the decision, fields and histories: whoever tries changes that, and nothing else."""

    def read(self, application: bytes | Mapping[str, object]) -> Application:
        """Read an application strictly.

        Raises
        ------
        ApplicationError
            Where it does not fit; it tells of every field that is wrong.
        """
        return (
            self.reader.read_json(application)
            if isinstance(application, bytes)
            else self.reader.read_plain(application)
        )

    def assess(
        self, application: Application, *, at: datetime, results: Mapping[str, str] = NOT_EVALUATED
    ) -> Assessment:
        """Score an application and decide on it.

        Parameters
        ----------
        results
            What each gate of the profile said of this applicant.

        Raises
        ------
        UnavailableError
            Where the profile is not in force at that instant.
        """
        fields, histories = application.fields, application.histories
        score = self.scorer.score(fields, histories=histories)
        reading = self.policy_reader.read(fields, histories=histories)
        declines = score.score - reading.cutoff < -reading.grey
        held = None if self.scoping is None else self.scoping.of(fields)
        decision = decide(
            score.score,
            reading,
            reasons=self.reasons.explain(score.bins) if declines else (),
            profile=self.profile if held is None else held.profile,
            at=at,
            results=results,
        )
        unusual = self.watch.unusual(fields, score.bins)
        return Assessment(score, decision, unusual, () if held is None else held.scopes)

    def profile_of(self, fields: Mapping[str, object]) -> Profile:
        """Give the profile as it holds for an application with such fields: in its scope, where there are scopes."""
        return self.profile if self.scoping is None else self.scoping.of(fields).profile

    def application_id(self, application: Application) -> str | None:
        """Give what the client calls an application."""
        found = None if self.identifier is None else application.fields.get(self.identifier)
        return None if found is None else str(found)

    def explain(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Explain a decision from its record: what each characteristic added, and the nearest changes that are approved.

        The cut-off is that of the decision, with the grey zone above it: a change is named where it leads out of both.
        """
        explaining = self.explaining(record["cutoff"] + self.policy.grey)
        read = self.read(record["input"])
        check = rescoring(replace(self.scorer, card=explaining.card), read.fields, read.histories)
        plain = explaining.explain(record["bins"], check=check).to_plain()
        told = {name: record[name] for name in ("decision_id", "application_id", "outcome", "because", "knockouts")}
        told["because"] = told_outside(record["because"], record["outcome"])
        return told | plain | {"card_sha256": self.card.sha256, "cutoff": record["cutoff"] / _THOUSANDTHS}


def compile_release(number: int, *, card: Scorecard, policy: Policy, profile: Profile) -> Release:
    """Compile a card, a policy and a profile that go together.

    Raises
    ------
    PolicyError
        Where the policy belongs to another card, or cannot be computed.
    ProfileError
        Where a scope of the profile reads what neither the card nor the policy does, or what tells persons apart.
    CardError
        Where the card lacks what reasons need.
    """
    check_policy(policy, card)
    pins = {  # in the order of a record, whose keys are sorted: an answer that is read again has the bytes of the first
        "card_sha256": card.sha256,
        "code": running_code(),
        "policy_sha256": policy.sha256,
        "profile_sha256": profile.sha256,
        "release": number,
    }
    scorer, policy_reader = compile_card(card), compile_policy(policy)
    scoping = compile_scopes(profile, scope_columns(card, policy)) if profile.scopes else None
    read_too = () if scoping is None else scoping.columns
    form = form_of(scorer, policy_reader, beside=applicant_columns(profile), read_too=read_too)
    columns = card.applications.columns
    identifiers = [name for name, it in columns.items() if Role.IDENTIFIER in it.role]
    unique = [name for name in identifiers if columns[name].unique]
    return Release(
        number,
        card,
        policy,
        profile,
        pins,
        ApplicationReader.of(form),
        scorer,
        compile_reasons(card),
        policy_reader,
        Watch.of(form, card),
        next(iter((*unique, *identifiers)), None),
        lru_cache(_MOST_CUTOFFS)(partial(_explaining, card)),
        tuple(name for name, it in form.columns.items() if it.type == "text"),
        scoping,
        bool(profile.asked),
        Masks.of(form, card),
        Personal.of(form),
        msgspec.Raw(encode(pins)),
        msgspec.Raw(encode({name: it._asdict() for name, it in profile.unasked.items()})),
        (*(name for name in form.needed if name not in identifiers), *form.histories),
    )


def scope_columns(card: Scorecard, policy: Policy) -> dict[str, Column]:
    """Give the fields by which the scopes of a profile may tell applications apart."""
    return {**card.applications.columns, **policy.columns}


def _explaining(card: Scorecard, cutoff: int) -> Explaining:
    return Explaining.of(card.model_copy(update={"cutoff": CardCutoff(score=cutoff, chosen_by=card.cutoff.chosen_by)}))


def statement_of(release: Release, *, at: datetime, by: str) -> bytes:
    """Write what is signed of a release."""
    pins = {name: it for name, it in release.pins.items() if name.endswith("_sha256")}
    return canonical_json({"schema": SCHEMA, "number": release.number, "at": time_text(at), "by": by} | pins)


def open_release(stored: StoredRelease, *, signed: Callable[[bytes, bytes], bool]) -> Release:
    """Check a release as it is kept, and compile it; ``signed`` tells whether a statement bears the deployment's signature.

    Raises
    ------
    IntegrityError
        Where the signature is not the deployment's, or card, policy or profile is not the one that was signed.
    InvalidInputError
        Where one of them cannot be read, or they do not go together.
    """
    if not signed(stored.statement, stored.signature):
        raise IntegrityError(f"release {stored.number}: its statement does not bear the signature of this deployment")
    release = compile_release(
        stored.number,
        card=parse_card(stored.card),
        policy=parse_policy(stored.policy),
        profile=parse_profile(stored.profile),
    )
    said = read_strict_json(stored.statement, what="release", error=IntegrityError)  # type: ignore[arg-type]
    wanted = {name: it for name, it in release.pins.items() if name.endswith("_sha256")} | {"number": stored.number}
    if not isinstance(said, dict) or {name: said.get(name) for name in wanted} != wanted:
        raise IntegrityError(f"release {stored.number}: what is kept is not what was signed")
    return release


class Releases:
    """The release in force, and those that earlier decisions were made by."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._current: Release | None = None
        self._pinned: OrderedDict[tuple[str, str, str], Release] = OrderedDict()
        self._trouble = ""

    @property
    def current(self) -> Release:
        """The release in force.

        Raises
        ------
        UnavailableError
            Where there is none, or what it rests on is no longer kept.
        """
        if self._current is None:
            raise UnavailableError("no release is in force", told=True, hint="obligor releases activate RUN")
        if self._trouble:
            raise UnavailableError(self._trouble, hint="obligor audit verify tells what was changed")
        return self._current

    def has_profile(self, at: datetime) -> bool:
        """Tell whether a compliance profile is in force at an instant, so that anything may be decided."""
        try:
            in_force(self.current.profile, at)
        except UnavailableError:
            return False
        return True

    async def look_after_profile(self) -> None:
        """Decide nothing while the profile in force is not kept as it was signed; decide again once it is."""
        if self._current is None:
            return
        try:
            kept = await self._archive.artefact(self._current.profile.sha256) is not None
        except IntegrityError:
            kept = False
        self._trouble = "" if kept else "the compliance profile in force is no longer kept; nothing is decided"

    @property
    def newest(self) -> int:
        """The number of the release in force; 0 where there is none."""
        return 0 if self._current is None else self._current.number

    def take(self, release: Release) -> bool:
        """Put a release in force from the next decision on, unless one with its number or a higher one is."""
        if release.number <= self.newest:
            return False
        self._current = release
        return True

    async def pinned(self, pins: Mapping[str, Any]) -> Release:
        """Give the card, policy and profile by which a decision was made.

        Raises
        ------
        IntegrityError
            Where one of them is no longer kept.
        """
        wanted = (pins["card_sha256"], pins["policy_sha256"], pins["profile_sha256"])
        if self._current is not None and wanted == _three(self._current):
            return self._current
        if wanted in self._pinned:
            self._pinned.move_to_end(wanted)
            return self._pinned[wanted]
        found = [await self._archive.artefact(sha256) for sha256 in wanted]
        card, policy, profile = (it if it is not None else _lost(pins) for it in found)
        release = compile_release(
            pins["release"], card=parse_card(card), policy=parse_policy(policy), profile=parse_profile(profile)
        )
        self._pinned[wanted] = release
        if len(self._pinned) > _MOST_PINNED:
            self._pinned.popitem(last=False)
        return release


def _three(release: Release) -> tuple[str, str, str]:
    return release.card.sha256, release.policy.sha256, release.profile.sha256


def _lost(pins: Mapping[str, Any]) -> bytes:
    raise IntegrityError(f"release {pins['release']}: a card, policy or profile that a decision names is not kept")
