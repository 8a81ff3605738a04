"""Whoever would read the card off by trying: who decides on one person again and again, and who sends applications too alike.

Two things are counted of what was decided or simulated, by each process. Of one person only so much is told in a day, whoever
asks; a person is known here by a keyed hash alone. And of one client only so many applications in an hour may be alike: of what
the card and the policy read, one or two fields differ, and nothing else. Copies are not alike: they tell nothing new.

To compare costs more than to look a person up, so one application in sixteen is compared, by chance, and counts for sixteen.
Once a client has none left, each of its applications is compared before it is decided on: those that are alike are refused, and
all others go on.

An explanation needs no limit of its own: there is one of each decision, and it says the same however often it is read.
"""

from __future__ import annotations

import random
import secrets
import time
from array import array
from dataclasses import dataclass, field
from hashlib import blake2b
from math import ceil
from operator import ne
from typing import TYPE_CHECKING, Final

import msgspec

from obligor.core.errors import LimitedError
from obligor.serving.pace import Pace
from obligor.serving.telemetry.journal import NoJournal
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import ProbingSettings, read_probing_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obligor.core.application import Application
    from obligor.serving.releases.release import Release
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.meter import Meter

COMPARED_OF: Final = 16
"""One in how many is compared."""
MOST_DIFFERENT: Final = 2
"""In how many fields applications that are alike differ at most, and in no more than an eighth of those that are read."""
_DAY_S, _HOUR_S, _TELL_EVERY_S = 86_400.0, 3600.0, 60.0
_MOST_SUBJECTS: Final = 100_000
_MOST_PARTS: Final = 30_000
_NOTHING: Final = array("q")


class Asked(msgspec.Struct, frozen=True):
    """An application that a client asks about, and whom it is about: a keyed hash, or none where it names nobody."""

    client_id: str
    subject: bytes | None
    application: Application
    compared: tuple[str, ...]
    """What of it is compared: fields, then histories."""


@dataclass(slots=True)
class Probing:
    """Counts what was tried, and holds up who tries too much; belongs to one event loop."""

    limits: ProbingSettings = field(default_factory=lambda: read_probing_settings({}))
    meter: Meter = field(default_factory=NoMeter)
    journal: Telling = field(default_factory=NoJournal)
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    """Draws which application is compared."""
    _key: bytes = field(init=False, repr=False, default_factory=lambda: secrets.token_bytes(16))
    """Of the hashes; it dies with the process."""
    _subjects: Pace = field(init=False)
    _alike: Pace = field(init=False)
    _telling: Pace = field(init=False)
    _seen: dict[tuple[str, int, int], tuple[float, array[int]]] = field(init=False, default_factory=dict)
    """By the client and a part of an application: when it came last, and the hashes of all that is compared of it."""

    def __post_init__(self) -> None:
        """Begin with nothing counted."""
        self._subjects = self._pace(self.limits.subject_daily, _DAY_S, most_kept=_MOST_SUBJECTS)
        self._alike = self._pace(self.limits.alike_hourly, _HOUR_S)
        self._telling = self._pace(1, _TELL_EVERY_S)

    def _pace(self, times: int, seconds: float, *, most_kept: int = 10_000) -> Pace:
        return Pace(times, seconds / times if times else 0.0, monotonic=self.monotonic, most_kept=most_kept)

    def asked(self, client_id: str, release: Release, application: Application) -> Asked:
        """Name whom an application is about."""
        named = release.personal.subject(application)
        subject = None if named is None else blake2b("\0".join(named).encode(), digest_size=16, key=self._key).digest()
        return Asked(client_id, subject, application, release.compared)

    def holds_up(self, asked: Asked) -> bool:
        """Tell whether ``check`` would refuse, or look closely; nothing is counted or told."""
        return self._wait_of_subject(asked) > 0 or self._alike.wait(asked.client_id) > 0

    def check(self, asked: Asked) -> None:
        """Refuse what would be one too many.

        Raises
        ------
        LimitedError
            Where this person was decided on too often, or the client sent too many applications like this one.
        """
        if wait := self._wait_of_subject(asked):
            self._refuse(asked, "subject", "too many decisions and simulations of one applicant", wait)
        if (wait := self._alike.wait(asked.client_id)) and self._is_alike(asked):
            self._refuse(asked, "alike", "too many applications of this client that are nearly the same", wait)

    def made(self, asked: Asked) -> None:
        """Count what was decided, or simulated."""
        if asked.subject is not None:
            self._subjects.count(asked.subject)
        if self.chance() * COMPARED_OF < 1 and not self._alike.wait(asked.client_id) and self._is_alike(asked):
            self._alike.count(asked.client_id, COMPARED_OF)

    def unmade(self, asked: Asked) -> None:
        """Take a count back: what was decided came to nothing, or was decided before."""
        if asked.subject is not None:
            self._subjects.count(asked.subject, -1)

    def _wait_of_subject(self, asked: Asked) -> float:
        return 0.0 if asked.subject is None else self._subjects.wait(asked.subject)

    def _refuse(self, asked: Asked, why: str, told: str, wait: float) -> None:
        self.meter.refused(why)
        if not self._telling.wait((asked.client_id, why)):
            self._telling.count((asked.client_id, why))
            self.journal.tell("probed", level="warning", client_id=asked.client_id, why=why)
        raise LimitedError(told, retry_after=ceil(wait))

    def _is_alike(self, asked: Asked) -> bool:
        """Tell whether an application is like one of the last hour, and remember it.

        Cut into one part more than fields may differ, two that are alike have a part in common: only those that share one are
        compared.
        """
        now, marks = self.monotonic(), array("q", self._marks(asked))
        most = min(MOST_DIFFERENT, len(marks) // 8)
        alike = False
        for place in range(most + 1):
            part = (asked.client_id, place, hash(marks[place :: most + 1].tobytes()))
            at, others = self._seen.pop(part, (-_HOUR_S, _NOTHING))
            alike = alike or (now - at < _HOUR_S and 0 < _differences(marks, others) <= most)
            self._seen[part] = (now, marks)
        while len(self._seen) > _MOST_PARTS:
            del self._seen[next(iter(self._seen))]
        return alike

    def _marks(self, asked: Asked) -> Iterator[int]:
        """Give a hash of each thing that is compared: none of an applicant's values is kept."""
        fields, histories = asked.application
        for name in asked.compared:
            value = repr(histories[name]) if name in histories else fields.get(name)
            yield hash((self._key, value))


def _differences(marks: array[int], others: array[int]) -> int:
    return sum(map(ne, marks, others)) if len(marks) == len(others) else len(marks)
