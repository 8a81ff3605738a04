"""The gate `kyc`: an applicant is who they say, as somebody who verified it shows (31 CFR 1020.220).

A provider is asked for its evidence by the four elements of an identity: name, date of birth, address, number of a document.
The gate passes only for evidence that says *verified*, is of this very person by all four, is neither expired nor of the time
to come, and was not shown for another applicant. What is lacking or unclear is `pending`, which holds; only a provider's own
*failed* fails.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from obligor.core.applicant import ADDRESS, BIRTH_DATE, ID_NUMBER, NAME
from obligor.core.applicant import EVIDENCE as BROUGHT
from obligor.core.errors import ApplicationError, InvalidInputError, Problem, UnavailableError
from obligor.serving.gates.gate import GateResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from obligor.core.application import Application
    from obligor.core.profile import GateName

ELEMENTS: Final = ("name", "date_of_birth", "address", "id_number")
EVIDENCE: Final = "evidence"
OF_APPLICANT: Final = dict(zip((*ELEMENTS, EVIDENCE), (NAME, BIRTH_DATE, ADDRESS, ID_NUMBER, BROUGHT), strict=True))
"""The columns of the elements where nothing else is said: those that every application may have."""
_SKEW: Final = timedelta(minutes=5)
_MOST_BEHIND: Final = timedelta(days=31)
_MOST_HELD: Final = 1 << 12
_NO_WORD = re.compile(r"[\W_]+")
_Word = Annotated[str, Field(min_length=1, max_length=200)]


class KycEvidence(BaseModel):
    """What a provider shows."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    status: Literal["verified", "pending", "failed"]
    name: Annotated[str, Field(max_length=1000)]
    date_of_birth: date
    address: Annotated[str, Field(max_length=1000)]
    id_number_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of the number's letters and digits, in capitals (``hashed``)."""
    method: _Word
    """How the identity was verified: a document, a database, a visit."""
    evidence_id: _Word
    verifier: _Word
    verified_at: AwareDatetime
    expires_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Person:
    """Who applies, as the application says."""

    name: str
    date_of_birth: str
    """YYYY-MM-DD."""
    address: str
    id_number: str
    evidence_id: str | None = None
    """The evidence that the applicant brought, where the application names one."""

    def is_of(self, evidence: KycEvidence) -> bool:
        """Tell whether evidence is of this person, by all four elements."""
        return (
            _words(self.name) == _words(evidence.name)
            and self.date_of_birth == evidence.date_of_birth.isoformat()
            and _words(self.address) == _words(evidence.address)
            and hashed(self.id_number) == evidence.id_number_sha256
        )


class Kyc(Protocol):
    """Who knows whether an identity was verified."""

    async def check(self, person: Person) -> KycEvidence | None:
        """Give the evidence of a person; none where there is none yet.

        Raises
        ------
        UnavailableError
            Where the provider does not answer, or answers what is no evidence.
        """
        ...


@runtime_checkable
class PromptKyc(Kyc, Protocol):
    """One that knows without asking anybody, and says the same of a person for as long as it lives."""

    def known(self, person: Person) -> KycEvidence | None:
        """Give the evidence of a person; none where there is none yet."""
        ...


class Evidences(Protocol):
    """Where it is kept for whom evidence was shown, for every process and beyond their lives."""

    async def whose(self, evidence: bytes, subject: bytes, *, at: datetime) -> bytes:
        """Keep for whom evidence is shown where nobody showed it before; give for whom it was shown first.

        Raises
        ------
        UnavailableError
            Where the store does not tell.
        """
        ...


class _Passed(NamedTuple):
    """That somebody passed, and between which instants their evidence holds."""

    since: datetime
    until: datetime
    told: GateResult


@dataclass(slots=True)
class KycGate:
    """Judges by a provider's evidence."""

    provider: Kyc
    subject: Mapping[str, str]
    """The columns of the application that hold the four elements, and the id of the evidence where it brings one."""
    evidences: Evidences
    """Where it is kept for whom evidence was shown."""
    key: bytes = field(repr=False)
    """Keys the hashes of evidence and applicants: whoever has the store alone cannot try names and numbers."""
    latest: Callable[[], datetime | None] = lambda: None
    """Gives the time of the last act in the log, as far as it is known here."""
    name: GateName = "kyc"
    well: bool = field(init=False, default=True)
    """Whether the provider answered as it should when it was asked last."""
    _prompt: PromptKyc | None = field(init=False)
    _passed: dict[tuple[object, ...], _Passed] = field(init=False, default_factory=dict, repr=False)
    """Who passed lately by evidence that is at hand, by what their applications said. For whom it was shown first never
    changes, nor does the evidence."""

    def __post_init__(self) -> None:
        self._prompt = self.provider if isinstance(self.provider, PromptKyc) else None
        if set(ELEMENTS) - self.subject.keys() or self.subject.keys() - {*ELEMENTS, EVIDENCE}:
            raise InvalidInputError(
                f"kyc: wanted a column for each of {', '.join(ELEMENTS)}, and for {EVIDENCE} if any"
            )

    def at_once(self, application: Application, *, at: datetime) -> GateResult | None:
        """Judge an applicant whose evidence is at hand; none where the provider or the store must be asked.

        Raises
        ------
        ApplicationError
            As ``evaluate`` does.
        """
        if self._prompt is None:
            return None
        at = self._not_before(at)
        passed = self._passed.get(self._told_by(application))
        if passed is not None and passed.since <= at < passed.until:
            return passed.told
        person = self._person(application)
        if isinstance(person, str):
            return _pending("lacks", element=person)
        told = self._judge(person, self._prompt.known(person), at=at)
        return None if told.result == "pass" else told

    async def evaluate(self, application: Application, *, at: datetime) -> GateResult:
        """Judge an applicant.

        Raises
        ------
        ApplicationError
            Where the applicant brought evidence that is another person's.
        """
        person, at = self._person(application), self._not_before(at)
        if isinstance(person, str):
            return _pending("lacks", element=person)
        try:
            evidence = await self.provider.check(person)
        except UnavailableError:
            self.well = False
            raise
        self.well = True
        told = self._judge(person, evidence, at=at)
        if evidence is None or told.result != "pass":
            return told
        mine = self._hash(repr((_words(person.name), person.date_of_birth, hashed(person.id_number))))
        first = await self.evidences.whose(self._hash(evidence.evidence_id), mine, at=at)
        if not hmac.compare_digest(first, mine):
            return _pending("shown for another applicant", **told.evidence)
        if self._prompt is not None:
            self._remember(self._told_by(application), _Passed(evidence.verified_at - _SKEW, evidence.expires_at, told))
        return told

    def _not_before(self, at: datetime) -> datetime:
        """Give the instant by which evidence is judged: the log's where the clock is behind it, for the log's never goes back.

        A log that is far ahead was written by a clock that was wrong, and would have all evidence expire for as long.
        """
        latest = self.latest()
        return latest if latest is not None and at < latest <= at + _MOST_BEHIND else at

    def _judge(self, person: Person, evidence: KycEvidence | None, *, at: datetime) -> GateResult:
        """Give what the gate says, but for whether the evidence was shown for another applicant."""
        if evidence is None:
            return _pending("none")
        if not person.is_of(evidence):
            if person.evidence_id is None:
                return _pending("another person")
            said = "is evidence of another person"
            raise ApplicationError(f"application: {said}", problems=(Problem((self.subject[EVIDENCE],), said),))
        shown = {
            "evidence_id": sha256(evidence.evidence_id.encode()).hexdigest(),
            "method": evidence.method,
            "verifier": evidence.verifier,
            "verified_at": evidence.verified_at.isoformat(),
            "expires_at": evidence.expires_at.isoformat(),
        }
        if evidence.status == "failed":
            return GateResult("fail", shown)
        if trouble := _trouble(evidence, person, at=at):
            return _pending(trouble, **shown)
        return GateResult("pass", shown)

    def _told_by(self, application: Application) -> tuple[object, ...]:
        """Give what an application says of who applies, as it stands there."""
        return tuple(map(application.fields.get, self.subject.values()))

    def _remember(self, said: tuple[object, ...], passed: _Passed) -> None:
        self._passed[said] = passed
        if len(self._passed) > _MOST_HELD:
            del self._passed[next(iter(self._passed))]

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self.key, text.encode(), "sha256")

    def _person(self, application: Application) -> Person | str:
        """Give who applies, or the element that is not known."""
        said: dict[str, str] = {}
        for element in ELEMENTS:
            value = application.fields.get(self.subject[element])
            said[element] = "" if value is None else str(value)  # a date as YYYY-MM-DD
            if not said[element].strip():
                return element
        brought = application.fields.get(self.subject.get(EVIDENCE, ""))
        return Person(**said, evidence_id=None if brought is None else str(brought))


def read_evidence(data: bytes) -> KycEvidence:
    """Read what a provider answered.

    Raises
    ------
    UnavailableError
        Where it is no evidence; nothing of it is repeated.
    """
    try:
        return KycEvidence.model_validate_json(data)
    except ValidationError:
        raise UnavailableError("the KYC provider answered what is no evidence") from None


def hashed(id_number: str) -> str:
    """Give the hash of a document's number, whatever its blanks, dashes and capitals."""
    return sha256(_NO_WORD.sub("", unicodedata.normalize("NFKC", id_number)).upper().encode()).hexdigest()


def _words(text: str) -> tuple[str, ...]:
    return tuple(_NO_WORD.sub(" ", unicodedata.normalize("NFKC", text)).casefold().split())


def _trouble(evidence: KycEvidence, person: Person, *, at: datetime) -> str:
    if evidence.status != "verified":
        return "not verified yet"
    if evidence.expires_at <= at:
        return "expired"
    if evidence.verified_at > at + _SKEW or evidence.expires_at <= evidence.verified_at:
        return "of another time"
    if person.evidence_id is not None and person.evidence_id != evidence.evidence_id:
        return "other evidence"
    return ""


def _pending(trouble: str, **shown: object) -> GateResult:
    return GateResult("pending", {"trouble": trouble, **shown})
