"""What is answered of a decision: a projection of its record, with its place in the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from obligor.serving.gates.gate import told_outside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.serving.archive import Stored

_THOUSANDTHS = 1000


def answer_of(record: Mapping[str, Any], leaf_index: int) -> dict[str, Any]:
    """Give the answer of a decision from its record: what was answered when it was made."""
    head = {name: record[name] for name in ("decision_id", "application_id", "decided_at")}
    receipt = {"leaf_index": leaf_index, "tree_size": leaf_index + 1}
    return head | answered(record) | {"pins": record["pins"], "receipt": receipt}


def answered(record: Mapping[str, Any]) -> dict[str, Any]:
    """Project a record onto what is answered: scores in points, and of a reason its code and its text."""
    return {
        "outcome": record["outcome"],
        "because": told_outside(record["because"], record["outcome"]),
        "score": record["score"] / _THOUSANDTHS,
        "pd": record["pd"],
        "band": record["band"],
        "cutoff": record["cutoff"] / _THOUSANDTHS,
        "reasons": [{"code": it["code"], "text": it["text"]} for it in record["reasons"]],
        "unusual": record["unusual"],
    }


def with_receipt(answer: bytes, leaf_index: int) -> bytes:
    """Add to an answer the place of its leaf, and the size of the log right after it."""
    return b'%b,"receipt":{"leaf_index":%d,"tree_size":%d}}' % (answer[:-1], leaf_index, leaf_index + 1)


def record_of(stored: Stored) -> dict[str, Any]:
    """Read the record of a decision, or of what was said of one."""
    record: dict[str, Any] = msgspec.json.decode(stored.record)
    return record
