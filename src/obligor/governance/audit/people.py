"""What the log says of people: who approved their own work, what two agreed to and nobody did, which roles do not go together.

The first is broken for good. The others are for somebody to look at: a person who asked to be erased waits, or a table of
permissions was changed under people who had their roles already. They hold no rights that they should not: whoever holds roles
that conflict may do nothing, and an agreement ends after seven days. Two accounts of one person are from before they were
refused, and neither agrees to what the other does any more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from obligor.core.people import are_one_name, are_one_person, person_named
from obligor.governance.audit.examination import Check, Faults, judged, looked_at
from obligor.governance.audit.restores import ACKNOWLEDGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from obligor.core.leaves import Leaf

    Conflict = Callable[[Iterable[str]], tuple[str, str] | None]

UNDONE_AFTER: Final = timedelta(days=3)
"""How long after another person agreed something should be done."""
UNDONE_UNTIL: Final = timedelta(days=30)
"""How long it is told of: by then it has expired weeks ago, and is proposed again or not wanted."""
_FOUNDERS: Final = 2
"""How many administrators one person makes: themselves, and whoever agrees with them from then on."""
_COUNTED: Final = {
    "role.granted": "roles granted",
    "act.agreed": "proposals agreed to",
    ACKNOWLEDGED: "losses acknowledged",
    "alert.cleared": "alerts cleared",
    "alert.corrected": "confirmations corrected",
}


@dataclass(slots=True)
class Persons:
    """What was seen of people's acts, leaf by leaf."""

    counts: Counter[str] = field(default_factory=Counter)
    alone: Faults = field(default_factory=Faults)
    founders: set[str] = field(default_factory=set)
    """Who was made an administrator so far."""
    agreed: dict[str, tuple[datetime, Mapping[str, Any]]] = field(default_factory=dict)
    """When a proposal was agreed to that was neither done nor taken back, and what its step says."""
    doubts: dict[tuple[str, object], str] = field(default_factory=dict)
    """Who proposed to clear an alert for a finding, or doubted that it was confirmed."""
    roles: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """What people hold who were not disabled."""
    accounts: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By which names each person is let in."""
    twice: Faults = field(default_factory=Faults)
    """What one person did under two names."""

    def take(self, leaf: Leaf, said: Mapping[str, Any]) -> None:
        """Take an act; those that are none of a person's about another are passed over."""
        if leaf.kind in _COUNTED:
            self.counts[leaf.kind] += 1
        match leaf.kind:
            case "role.granted":
                self._take_grant(leaf, said)
                self.roles[str(said.get("user_id"))].add(str(said.get("role")))
            case "role.revoked":
                self.roles[str(said.get("user_id"))].discard(str(said.get("role")))
            case "user.added" | "user.disabled":
                self._take_account(str(said.get("user_id")), added=leaf.kind == "user.added")
            case "act.agreed":
                self._take_pair(said, f"proposal {leaf.subject}: proposed and agreed to by one person")
                self.agreed[leaf.subject] = leaf.at, said
            case "act.done" | "act.withdrawn":
                self.agreed.pop(leaf.subject, None)
            case "alert.proposed" | "alert.doubted" | "alert.examined":
                self.doubts[leaf.subject, said.get("finding")] = str(said.get("by"))
            case "alert.cleared" | "alert.corrected" if (leaf.subject, said.get("finding")) in self.doubts:
                pair = {"by": said.get("by"), "proposed_by": self.doubts.pop((leaf.subject, said.get("finding")))}
                self._take_pair(pair, f"alert {leaf.subject}: proposed and cleared by one person")
            case _ if leaf.kind == ACKNOWLEDGED:
                self._take_pair(said, f"restore {leaf.subject}: proposed and acknowledged by one person")

    def _take_account(self, user_id: str, *, added: bool) -> None:
        accounts = self.accounts[person_named(user_id)]
        if added:
            accounts.add(user_id)
        else:
            accounts.discard(user_id)
            self.roles.pop(user_id, None)

    def _take_pair(self, said: Mapping[str, Any], fault: str) -> None:
        by, proposed_by = str(said.get("by")), str(said.get("proposed_by"))
        if are_one_name(by, proposed_by):
            self.alone.add(fault)
        elif are_one_person(by, proposed_by):
            self.twice.add(f"{fault}, as {proposed_by} and {by}")

    def _take_grant(self, leaf: Leaf, said: Mapping[str, Any]) -> None:
        before = len(self.founders)
        founding = said.get("first_of_all") is True and said.get("role") == "admin" and before < _FOUNDERS
        if said.get("role") == "admin":
            self.founders.add(str(said.get("user_id")))
        where = f"role {said.get('role')} of {leaf.subject}"
        by, proposed_by, user_id = (str(said.get(it)) for it in ("by", "proposed_by", "user_id"))
        if not founding:
            self._take_pair(said, f"{where}: proposed and granted by one person")
        for each in () if founding and not before else dict.fromkeys((by, proposed_by)):
            self._take_pair({"by": each, "proposed_by": user_id}, f"{where}: proposed or granted by themselves")

    def by_two(self) -> Check:
        """Judge that nobody approved their own work."""
        claim = "nobody approves their own work"
        if not self.counts:
            return Check("I5", claim, "not applicable", "no role was granted")
        counts = {what: self.counts[kind] for kind, what in _COUNTED.items() if self.counts[kind]}
        note = "by the names that people gave themselves on the command line"
        return judged("I5", claim, self.alone, counts, note=note)

    def done(self, now: datetime) -> Check:
        """Look for what two people agreed to and nobody did."""
        waiting = {id_: it for id_, it in self.agreed.items() if now - it[0] < UNDONE_UNTIL}
        late = (
            f"proposal {id_}: {said.get('kind')} was agreed to {(now - at).days} days ago, and {said.get('proposed_by')} "
            "neither did it nor took it back"
            for id_, (at, said) in waiting.items()
            if now - at > UNDONE_AFTER
        )
        return looked_at(
            "proposals", "what two agreed to is done", Faults(late), {"agreed to, and not done": len(waiting)}
        )

    def once(self) -> Check:
        """Look for people with two accounts, and for what they did as if they were two."""
        told = Faults(f"{' and '.join(sorted(it))} are one person's" for it in self.accounts.values() if len(it) > 1)
        if self.twice.count:
            told.add(self.twice.told())
        return looked_at(
            "accounts", "nobody has two accounts", told, {"people": sum(map(bool, self.accounts.values()))}
        )

    def apart(self, conflict: Conflict) -> Check:
        """Look for people who hold roles that nobody holds together."""
        holders = {user: held for user, held in self.roles.items() if held}
        faults = Faults(_conflicts(holders, conflict))
        return looked_at("roles", "nobody holds roles that do not go together", faults, {"with a role": len(holders)})


def _conflicts(holders: Mapping[str, set[str]], conflict: Conflict) -> Iterator[str]:
    for user, held in holders.items():
        if pair := conflict(held):
            yield f"{user} holds {pair[0]} and {pair[1]}, and may do nothing until one is revoked"
