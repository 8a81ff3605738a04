"""The keys of personal data, erasures and holds, held against the acts that the log tells of.

Rows of erasures, holds and of the deployment's keys stand as their last act left them. The keys of subjects, of which a store
has as many as applicants, are held against erasures in the database itself: none is gone without one, and none is back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from obligor.governance.audit.findings import Findings, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.governance.audit.source import LogSource

_ACTS: Final[Mapping[str, str]] = {
    "erased": "erasure",
    "hold.placed": "legal_hold",
    "hold.released": "legal_hold",
    "datakey.created": "keyring",
    "datakey.retired": "keyring",
}
"""The table whose row an act leaves."""
_COLUMNS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "erasure": (("subject",), ("at",)),
    "legal_hold": (("subject",), ("because", "placed_at", "by", "released_at")),
    "keyring": (("purpose", "version"), ("proof", "retired_at")),
}
"""What a row is known by, and what else it says."""
_NOTHING: Final = object()


@dataclass(slots=True)
class KeptKeys:
    """What the log says of keys, erasures and holds, as far as it was read."""

    source: LogSource
    findings: Findings
    _left: dict[tuple[str, ...], tuple[int, Mapping[str, Any]]] = field(default_factory=dict)

    def take(self, kind: str, index: int, said: Mapping[str, Any]) -> None:
        """Note what an act leaves."""
        if table := _ACTS.get(kind):
            self._left[_named(table, said)] = (index, said)

    def finish(self) -> None:
        """Hold the rows against it."""
        first = ("keyring", "names", "1") in self._left
        for table, (_, columns) in _COLUMNS.items():
            for row in self.source.privacy(table):
                self._hold(table, columns, row, told=first or table != "keyring")
        for name, (index, _) in self._left.items():
            self.findings.add(Kind.PRIVACY, index, f"{_short(name)}: its row is gone", about="gone")
        for said in self.source.key_faults():
            self.findings.add(Kind.PRIVACY, None, said, about="subject_key")

    def _hold(self, table: str, columns: tuple[str, ...], row: Mapping[str, object], *, told: bool) -> None:
        name = _named(table, row)
        index, said = self._left.pop(name, (None, {}))
        if index is None:
            # A store whose keys were made before keys were acts has them without; then the KMS alone vouches for them.
            if told:
                self.findings.add(Kind.PRIVACY, None, f"{_short(name)}: no act of the log made it", about="stray")
            return
        wrong = next((it for it in columns if said.get(it, _NOTHING) != row[it]), None)
        if wrong:
            self.findings.add(Kind.PRIVACY, index, f"{_short(name)}: its {wrong} is not what its last act left")


def _named(table: str, said: Mapping[str, Any]) -> tuple[str, ...]:
    return table, *(str(said.get(it)) for it in _COLUMNS[table][0])


def _short(name: tuple[str, ...]) -> str:
    return f"table {name[0]}: {' '.join(it[:12] for it in name[1:])}"
