"""Going on with a log that was set back: one person proposes it, another confirms, and both are acts of the log.

Until then nothing else is written: a service whose anchors know a longer log, or another one, refuses every act. What the two
take note of are the trees that anchors keep and the log no longer is; another one that turns up later asks for two people anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from obligor.core.errors import ClashError, ForbiddenError, InvalidInputError, NotFoundError
from obligor.core.leaves import time_text
from obligor.core.people import are_one_person
from obligor.governance.audit.restores import ACKNOWLEDGED, PROPOSED, SCHEMA, Restore, Tree, acknowledgements
from obligor.serving.acts import Act, Submission
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode
from obligor.serving.people.roles import check_user_id
from obligor.serving.said import MOST_BECAUSE, says_why

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.core.merkle import Frontier
    from obligor.governance.audit.restores import LostTree
    from obligor.serving.acts import Recorder
    from obligor.serving.sources import Sources


class RestoredLog(Protocol):
    """The log in the store, as far as taking note of its loss needs it."""

    async def frontier(self, size: int | None = None) -> Frontier:
        """Give the right edge of the tree of a size, with its root; of all leaves where no size is given."""
        ...

    async def restores(self) -> tuple[Restore, ...]:
        """Give the acts by which people took note that the log was set back, by index."""
        ...


@dataclass(frozen=True, slots=True)
class Restoring:
    """What taking note of a loss needs."""

    log: RestoredLog
    recorder: Recorder
    sources: Sources

    async def propose(self, lost: Sequence[LostTree], *, because: str, by: str) -> Restore:
        """Propose to go on without what anchors keep; ``by`` names the person.

        Raises
        ------
        InvalidInputError
            Where nobody is named, or no reason.
        ClashError
            Where no anchor disagrees with the log.
        """
        check_user_id(by)
        if not says_why(because):
            raise InvalidInputError(
                f"a proposal has a reason; wanted --because with at most {MOST_BECAUSE} printable characters"
            )
        refuse_card_data_in("because", because)
        if not lost:
            raise ClashError("no anchor knows a longer or another log: there is nothing to acknowledge")
        frontier = await self.log.frontier()
        restore_id = str(self.sources.new_id(self.sources.now()))
        present = Tree(frontier.size, frontier.root)
        return await self._record(Restore(-1, restore_id, PROPOSED, tuple(lost), present, because, by, by))

    async def acknowledge(self, restore_id: str, lost: Sequence[LostTree], *, by: str) -> Restore:
        """Confirm a proposal of another person; the service writes again.

        Raises
        ------
        NotFoundError
            Where there is no such proposal.
        ForbiddenError
            Where it is one's own.
        ClashError
            Where it was confirmed before, or anchors now show another loss than it names.
        """
        check_user_id(by)
        restores = await self.log.restores()
        proposed = next((it for it in restores if (it.restore_id, it.kind) == (restore_id, PROPOSED)), None)
        if proposed is None:
            raise NotFoundError("there is no such proposal")
        if are_one_person(proposed.by, by):
            raise ForbiddenError("a loss is acknowledged by another person than who proposed it")
        if any(it.restore_id == restore_id for it in acknowledgements(restores)):
            raise ClashError("this proposal was confirmed before")
        if {it.tree for it in lost} != proposed.names:
            raise ClashError("the anchors show another loss than was proposed", hint="propose it again")
        return await self._record(
            Restore(
                -1, restore_id, ACKNOWLEDGED, proposed.lost, proposed.present, proposed.because, proposed.by, by
            )
        )  # fmt: skip

    async def _record(self, it: Restore) -> Restore:
        at = self.sources.now()
        said = {
            "schema": SCHEMA,
            "restore_id": it.restore_id,
            "lost": [{"anchor": one.anchor} | _plain(one.tree) for one in it.lost],
            **_plain(it.present),
            "because": it.because,
            "proposed_by": it.proposed_by,
            "by": it.by,
            "at": time_text(at),
        }
        act = Act(it.kind, at, f"person:{it.by}", it.restore_id, encode(said), self.sources.salt())
        recorded = await self.recorder.record(Submission((act,), lambda _: b""))
        return Restore(
            recorded.leaf_index, it.restore_id, it.kind, it.lost, it.present, it.because, it.proposed_by, it.by
        )


def _plain(tree: Tree) -> dict[str, object]:
    return {"size": tree.size, "root": tree.root.hex()}
