"""The gates `aml` and `pep`: an applicant is on no list of sanctions, or of politically exposed persons.

A screening by name, aliases and birth date shows it.

It keeps which list, which algorithm and which rules were asked, and nothing of a hit: who is on a list, and that somebody seems
to be, is not for those who read decisions. A list that is too old, or not there, and a
name that is missing or cannot be compared, have said nothing: the gate is pending, and never passed. A hit that was cleared for
this very person does not count, as long as that holds and the list says the same of the entry. A match that was confirmed
counts for this person whatever the list says now, and whatever was cleared.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING, Any, Final, Protocol

from obligor.core.applicant import ALIASES, BETWEEN_ALIASES, BIRTH_DATE, NAME, NUMBER
from obligor.core.errors import ScreeningError
from obligor.serving.encoding import encode
from obligor.serving.gates.gate import GateResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from obligor.core.application import Application
    from obligor.core.profile import GateName
    from obligor.screening.lists import ListKind
    from obligor.screening.matching import Hit
    from obligor.screening.screener import Asked, Screener, Screening
    from obligor.security.signing import SigningKey

MOST_ALIASES: Final = 8
GATE_OF: Final[Mapping[ListKind, GateName]] = {"sanctions": "aml", "pep": "pep"}
"""By which gate a profile says whether a kind of list is screened against."""
_PURPOSE: Final = "screening-subjects"
_STATEMENTS: Final[Mapping[ListKind, bytes]] = {
    "sanctions": b"obligor/screening-subjects/1",
    "pep": b"obligor/screening-subjects/1/pep",
}
Cleared = tuple[bytes, str, str]
"""A subject, an entry, and the version of the entry."""


@dataclass(frozen=True, slots=True)
class AmlColumns:
    """The fields of an application that say who applies."""

    names: tuple[str, ...] = (NAME,)
    """Which together hold the name."""
    aliases: str = ALIASES
    born: str = BIRTH_DATE
    number: str = NUMBER

    def asked(self, fields: Mapping[str, Any], screener: Screener) -> tuple[Asked, ...]:
        """Give what is asked of a list.

        Raises
        ------
        ScreeningError
            Where a name or the birth date cannot be compared, or there are too many aliases.
        """
        texts = [it for it in map(fields.get, self.names) if isinstance(it, str)]
        others = fields.get(self.aliases)
        aliases = [it for it in others.split(BETWEEN_ALIASES) if it.strip()] if isinstance(others, str) else []
        if len(aliases) > MOST_ALIASES:
            raise ScreeningError(f"aliases: wanted at most {MOST_ALIASES}")
        born = fields.get(self.born)
        return screener.asked((" ".join(texts), *aliases), None if born is None else str(born))


@dataclass(frozen=True, slots=True)
class Subjects:
    """Names those who are screened, for clearing and for alerts, by what tells nothing of them without the deployment's key."""

    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, key: SigningKey, kind: ListKind = "sanctions") -> Subjects:
        """Derive the secret from the signing key, whose signatures of one text are always the same (RFC 8032).

        Each kind of list has its own: an entry may stand on both, and who is cleared on the one is not on the other.
        """
        return cls(sha256(key.sign_statement(_STATEMENTS[kind], purpose=_PURPOSE)).digest())

    def of_person(self, asked: Sequence[Asked], *, number: object, application_id: str | None) -> bytes:
        """Name a person: by the lender's number, or else by the application, and by what was screened of them.

        The number is what the application says, as it stands in a record too: one that is no text is not made one.
        """
        known = ["number", number] if number else ["application", application_id]
        people = [[parts, None if born is None else [born.earliest, born.latest]] for parts, born in asked]
        return digest(self.secret, encode([known, people]), "sha256")


class Clearances:
    """Which hits were cleared for whom, and until when, and whose match was confirmed, as the store said last."""

    def __init__(self) -> None:
        self.until: Mapping[Cleared, datetime] = {}
        self.confirmed: frozenset[bytes] = frozenset()

    def hit(self, hits: Iterable[Hit], subject: bytes, *, at: datetime) -> bool:
        """Tell whether a person is hit: their match was confirmed, or one of their hits was not cleared."""
        return subject in self.confirmed or not all(self._holds((subject, it.entry, it.version), at) for it in hits)

    def _holds(self, cleared: Cleared, at: datetime) -> bool:
        until = self.until.get(cleared)
        return until is not None and at < until


class Current(Protocol):
    """Where the list in force is."""

    @property
    def screener(self) -> Screener | None:
        """Screens against it; none where there is none."""
        ...


class AmlGate:
    """Screens whoever applies against a list in force, at once where the same was asked before and else in a thread.

    Parameters
    ----------
    name
        By which gate of the profile.
    application_id
        Gives what the client calls an application.
    """

    def __init__(
        self,
        lists: Current,
        name: GateName = "aml",
        *,
        subjects: Subjects,
        clearances: Clearances | None = None,
        columns: AmlColumns | None = None,
        application_id: Callable[[Application], str | None] = lambda _: None,
    ) -> None:
        self.name = name
        self._lists, self._subjects = lists, subjects
        self._clearances, self._columns = clearances or Clearances(), columns or AmlColumns()
        self._application_id = application_id
        self._said: tuple[Screening, bool] | None = None
        self._last = _pending("no_list")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="screening")
        self._waiting, self._nobody_waits = 0, asyncio.Event()
        """How many decisions wait for the thread."""

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def at_once(self, application: Application, *, at: datetime) -> GateResult | None:
        """Judge an applicant who was screened before, or cannot be; none where the list is to be asked."""
        screener = self._lists.screener
        if screener is None:
            return _pending("no_list")
        try:
            asked = self._columns.asked(application.fields, screener)
        except ScreeningError:
            return _pending("not_comparable")
        found = [screener.known(it) for it in asked]
        known = [it for it in found if it is not None]
        if len(known) < len(found):
            return None
        name = self._application_id(application)
        return self._judge(screener, application.fields, asked, known, at, application_id=name)

    async def evaluate(self, application: Application, *, at: datetime) -> GateResult:
        """Judge an applicant at the instant of the decision."""
        return await self.screen(application.fields, application_id=self._application_id(application), at=at)

    async def screen(self, fields: Mapping[str, Any], *, application_id: str | None, at: datetime) -> GateResult:
        """Judge who applied by the fields of their application, now or of an earlier day."""
        screener = self._lists.screener
        if screener is None:
            return _pending("no_list")
        try:
            asked = self._columns.asked(fields, screener)
        except ScreeningError:
            return _pending("not_comparable")
        found = await self.find(screener, asked)
        return self._judge(screener, fields, asked, found, at, application_id=application_id)

    async def find(self, screener: Screener, asked: Sequence[Asked]) -> list[tuple[Hit, ...]]:
        """Ask the list for a decision, in the thread, where others go on meanwhile."""
        self._waiting += 1
        try:
            return await self._hits(screener, asked)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._nobody_waits.set()

    async def find_aside(self, screener: Screener, asked: Sequence[Asked]) -> list[tuple[Hit, ...]]:
        """Ask the list for what can wait: once no decision does, whose deadline is short and which a new list slows down."""
        while self._waiting:
            self._nobody_waits.clear()
            await self._nobody_waits.wait()
        return await self._hits(screener, asked)

    async def _hits(self, screener: Screener, asked: Sequence[Asked]) -> list[tuple[Hit, ...]]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: [*map(screener.hits, asked)])

    def _judge(
        self,
        screener: Screener,
        fields: Mapping[str, Any],
        asked: Sequence[Asked],
        found: Iterable[Sequence[Hit]],
        at: datetime,
        *,
        application_id: str | None,
    ) -> GateResult:
        """Give what the gate says: a hit counts on an old list as well, but no hit does not."""
        hits: tuple[Hit, ...] = tuple(hit for each in found for hit in each)
        hit = bool(hits)
        if hits or self._clearances.confirmed:  # then for everybody, so that no time tells of one
            number = fields.get(self._columns.number)
            subject = self._subjects.of_person(asked, number=number, application_id=application_id)
            hit = self._clearances.hit(hits, subject, at=at)
        return self._told(screener, at.date(), hit=hit)

    def _told(self, screener: Screener, today: date, *, hit: bool) -> GateResult:
        """Give what is said on a day of everybody with a hit, or without: made once, and so written down once."""
        said = (screener.screening((), today=today), hit)
        if said != self._said:
            screening = said[0]
            evidence = {
                "list_sha256": screening.snapshot_sha256,
                "algorithm": screening.algorithm,
                "rules_sha256": screening.config_sha256,
                "stale": screening.stale,
            }
            result = GateResult("fail" if hit else "pending" if screening.stale else "pass", evidence)
            self._said, self._last = said, result
        return self._last


def _pending(trouble: str) -> GateResult:
    return GateResult("pending", {"trouble": trouble})
