"""Decisions made again by the cards, policies and profiles that they pin, to the last bit.

What is pinned is a hash. Bytes that have another one are refused, whatever they say: a decision is made again by what made
it, or not at all.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from obligor.core.errors import ErasedError, IntegrityError, ObligorError
from obligor.serving.audit.replaying import PINNED, Difference, pinned_release, read_record, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from obligor.progress import Progress
    from obligor.serving.releases.release import Release

_MOST_KEPT: Final = 8
_MOST_TOLD: Final = 20
_EVERY: Final = 100
_TOLD: Final = frozenset({"score", "pd", "band", "cutoff", "outcome", "because"})
"""Fields whose values are told where they differ; of the others only the name, for they may hold what a person said."""


@dataclass(slots=True)
class Replays:
    """Makes decisions again; ``artefact`` gives the bytes that are kept under a hash, ``unseal`` opens a sealed record."""

    artefact: Callable[[str], bytes | None]
    unseal: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    _releases: OrderedDict[tuple[str, ...], Release] = field(init=False, default_factory=OrderedDict)

    def again(self, record: bytes) -> tuple[Mapping[str, Any], tuple[Difference, ...]]:
        """Make a decision again; give its record, and what of it does not follow.

        Raises
        ------
        IntegrityError
            Where the record is none that can be followed, or what it pins is gone or is not what the hash says.
        ErasedError, UnavailableError
            Where what it was decided on was erased, or the keys that open it are not at hand.
        """
        said = read_record(record) if self.unseal is None else read_record(record, unseal=self.unseal)
        try:
            return said, replay(said, self._release(said))
        except IntegrityError:
            raise
        except ObligorError as error:  # what is pinned would not have decided then
            raise IntegrityError(f"decision {said['decision_id']}: {error.message}") from None
        except (AttributeError, KeyError, TypeError, ValueError):  # a value of another shape than the service writes
            raise IntegrityError(
                f"decision {said['decision_id']}: the record has not the shape of a decision"
            ) from None

    def _release(self, said: Mapping[str, Any]) -> Release:
        pins = tuple(str(said["pins"].get(name)) for name in PINNED)
        if pins not in self._releases:
            bodies = {name: self._pinned(said, name, pin) for name, pin in zip(PINNED, pins, strict=True)}
            card, policy, profile = bodies.values()
            self._releases[pins] = pinned_release(said, card=card, policy=policy, profile=profile)
            if len(self._releases) > _MOST_KEPT:
                self._releases.popitem(last=False)
        return self._releases[pins]

    def _pinned(self, said: Mapping[str, Any], name: str, pin: str) -> bytes:
        what = f"decision {said['decision_id']}: {name.removesuffix('_sha256')}"
        body = self.artefact(pin)
        if body is None:
            raise IntegrityError(f"{what}: pinned is {pin[:12]}, which is not kept")
        got = hashlib.sha256(body).hexdigest()
        if got != pin:
            raise IntegrityError(f"{what}: pinned is {pin[:12]}, the bytes that are kept have the hash {got[:12]}")
        return body


@dataclass(frozen=True, slots=True)
class Unlike:
    """A decision that does not follow from its record, and why."""

    decision_id: str
    why: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remade:
    """What came of making decisions again."""

    decisions: int
    unlike: tuple[Unlike, ...]
    erased: int = 0
    """Those among them whose personal data were erased, so that nobody can make them again."""

    @property
    def same(self) -> bool:
        """Whether all of them follow."""
        return not self.unlike

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        told = [{"decision_id": it.decision_id, "why": it.why, "fields": list(it.fields)} for it in self.unlike]
        return {"decisions": self.decisions, "same": self.same, "unlike": told, "erased": self.erased}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        told = [f"{it.decision_id}: {it.why}" for it in self.unlike[:_MOST_TOLD]]
        more = len(self.unlike) - len(told)
        same = self.decisions - len(self.unlike) - self.erased
        return [
            *told,
            *([f"and {more:,} more"] if more else []),
            f"{same:,} of {self.decisions:,} decisions follow to the last bit",
            *([f"{self.erased:,} cannot be made again: their personal data were erased"] if self.erased else []),
        ]


def remake(records: Iterable[bytes], replays: Replays, *, total: int, progress: Progress) -> Remade:
    """Make decisions again, one after the other."""
    unlike: list[Unlike] = []
    count = erased = 0
    with progress.step("making decisions again", total=total) as advance:
        for count, record in enumerate(records, start=1):
            try:
                unlike += _unlike(record, replays)
            except ErasedError:
                erased += 1
            if not count % _EVERY:
                advance(_EVERY)
    return Remade(count, tuple(unlike), erased)


def _unlike(record: bytes, replays: Replays) -> list[Unlike]:
    try:
        said, differences = replays.again(record)
    except IntegrityError as error:
        return [Unlike(_id_of(record), error.message)]
    if not differences:
        return []
    return [Unlike(str(said["decision_id"]), "; ".join(map(_told, differences)), tuple(it.field for it in differences))]


def _id_of(record: bytes) -> str:
    try:
        return str(read_record(record, unseal=dict)["decision_id"])
    except IntegrityError:
        return "a record that cannot be read"


def _told(it: Difference) -> str:
    if it.field not in _TOLD:
        return f"{it.field} does not follow"
    return f"{it.field} is recorded as {it.recorded}, and follows as {it.found}"
