"""What may be asked of the service: each call with its request, and how its answer is read."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from obligor.client.answers import (
    BrokenDecision,
    Decision,
    FieldError,
    Health,
    Link,
    Links,
    LogPlace,
    OutcomeReport,
    Override,
    Pins,
    Problem,
    Reason,
    Review,
    Screening,
    Simulation,
)
from obligor.client.errors import BY_TYPE, ERRORS, RefusedError, ServiceError, UnreadableAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import httpx


T = TypeVar("T")
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One thing to ask: the request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: bytes | None = None
    key: str | None = None
    params: Mapping[str, str] | None = None

    def request(self, http: httpx.Client | httpx.AsyncClient, seconds: float) -> httpx.Request:
        """Build the request of one try, which waits so many seconds for each part of the answer."""
        headers = {} if self.key is None else {"Idempotency-Key": self.key}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        return http.build_request(
            self.method, self.path, content=self.body, params=self.params, headers=headers, timeout=seconds
        )

    def answer(self, came: httpx.Response) -> T:
        """Read the answer, or tell what is wrong with it.

        Raises
        ------
        ServiceError
            Where it is a refusal, or none that this service gives.
        """
        try:
            return self.read(came)
        except KeyError as error:
            raise UnreadableAnswerError(f"the answer lacks {error}") from None
        except (TypeError, ValueError, AttributeError):
            raise UnreadableAnswerError("the answer has another shape than this service gives") from None


def decide(application: Mapping[str, object], key: str | None) -> Call[Decision]:
    """Decide on one application and record the decision."""
    return Call("POST", "/v1/decisions", _read_decision, _json(application), _kept(key))


def decide_many(applications: Sequence[Mapping[str, object]], key: str | None) -> Call[tuple[Decision | Problem, ...]]:
    """Decide on many applications, each by itself."""
    body = _json({"applications": list(applications)})
    return Call("POST", "/v1/decisions/bulk", _read_many, body, _kept(key))


def simulate(application: Mapping[str, object]) -> Call[Simulation]:
    """Tell how an application would be decided."""
    return Call("POST", "/v1/simulations", _read_simulation, _json(application))


def decision(decision_id: str) -> Call[Decision]:
    """Find a decision."""
    return Call("GET", _at(decision_id), _read_decision)


def report(decision_id: str, status: str, observed_on: date, key: str | None) -> Call[OutcomeReport]:
    """Report what became of a loan."""
    body = _json({"status": status, "observed_on": observed_on})
    return Call("POST", f"{_at(decision_id)}/outcomes", _read_report, body, _kept(key))


def screen_again(decision_id: str, key: str | None) -> Call[Screening]:
    """Screen who was approved again."""
    return Call("POST", f"{_at(decision_id)}/screenings", _read_screening, key=_kept(key))


def request_review(
    decision_id: str, statement: str, corrections: Mapping[str, object], key: str | None
) -> Call[Review]:
    """Ask that a person reviews a decision."""
    body = _json({"statement": statement, "corrections": corrections})
    return Call("POST", f"{_at(decision_id)}/review-requests", _read_review, body, _kept(key))


def explanation(decision_id: str) -> Call[Mapping[str, Any]]:
    """Explain a decision."""
    return Call("GET", f"{_at(decision_id)}/explanation", _plain)


def receipt(decision_id: str) -> Call[bytes]:
    """Prove that a decision stands in the audit log."""
    return Call("GET", f"{_at(decision_id)}/receipt", _body)


def links(decision_id: str) -> Call[Links]:
    """Tell which decisions belong together with one."""
    return Call("GET", f"{_at(decision_id)}/links", _read_links)


def reviews(decision_id: str) -> Call[tuple[Review, ...]]:
    """Tell what came of the reviews of a decision."""
    return Call("GET", f"{_at(decision_id)}/review-requests", _read_reviews)


def override(decision_id: str) -> Call[Override]:
    """Tell what a person decided in place of a decision."""
    return Call("GET", f"{_at(decision_id)}/override", _read_override)


def _at(decision_id: str) -> str:
    return f"/v1/decisions/{quote(decision_id, safe='')}"


def is_token(text: str) -> bool:
    """Tell whether a header may carry a text as it is."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _kept(key: str | None) -> str:
    """Give the key of a call, the same over all its tries."""
    if key is not None and not is_token(key):
        raise ValueError("the idempotency key is empty or holds more than printable ASCII without spaces")
    return str(uuid.uuid4()) if key is None else key


def _json(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_day).encode()
    except ValueError:  # what json would say of it may repeat the number
        raise ValueError("an application holds NaN, an infinity or itself; wanted None for what is not known") from None


def _day(value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    kind = type(value).__name__
    raise TypeError(f"an application holds numbers, texts, truth values, days, lists and None; got a {kind}")


def search(since: datetime | None, until: datetime | None, **by: str | None) -> Call[Page]:
    """Find decisions, a page at a time."""
    asked = {
        **by,
        "from": None if since is None else _moment(since),
        "to": None if until is None else _moment(until),
        "limit": str(_PAGE),
    }
    return Call("GET", "/v1/decisions", _read_page, params={name: it for name, it in asked.items() if it is not None})


def _moment(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("a moment without a time zone means another one elsewhere; wanted one with")
    return at.isoformat()


def next_page(call: Call[Page], page: Page) -> Call[Page] | None:
    """Ask for the page after this one, where there is one."""
    if page.cursor is None:
        return None
    params = dict(call.params or {})
    if params.get("cursor") == page.cursor:
        raise UnreadableAnswerError("the service gave the same page twice")
    return Call(call.method, call.path, call.read, params={**params, "cursor": page.cursor})


@dataclass(frozen=True, slots=True)
class Page:
    """Decisions that were found, and where the next ones are."""

    decisions: tuple[Decision | BrokenDecision, ...]
    cursor: str | None


def _body(answer: httpx.Response) -> bytes:
    """Give the body of an answer that is no refusal."""
    if answer.is_success:
        return answer.content
    raise _refusal(answer)


def _plain(answer: httpx.Response) -> Mapping[str, Any]:
    return _parsed(_body(answer))


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableAnswerError("the answer is not JSON") from None
    if not isinstance(plain, dict):
        raise UnreadableAnswerError("the answer is no JSON object")
    return plain


def _refusal(answer: httpx.Response) -> ServiceError:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if kind != "application/problem+json":
        return UnreadableAnswerError(f"{answer.status_code}, and no problem+json; is there a proxy in front?")
    problem = _problem(_parsed(answer.content))
    error = BY_TYPE.get(problem.type.rpartition(":")[2]) or ERRORS.get(answer.status_code, RefusedError)
    return error(problem)


def _problem(plain: Mapping[str, Any]) -> Problem:
    errors = tuple(FieldError(str(it["field"]), str(it["message"])) for it in plain.get("errors", ()))
    kind, title, detail = (str(plain.get(name, "")) for name in ("type", "title", "detail"))
    return Problem(kind, title, int(plain["status"]), detail, errors)


def _read_simulation(answer: httpx.Response) -> Simulation:
    return Simulation(**_assessed(_plain(answer)))


def _read_decision(answer: httpx.Response) -> Decision:
    return _decided(_plain(answer), replayed=_replayed(answer))


def _replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("Idempotent-Replayed") == "true")


def _read_many(answer: httpx.Response) -> tuple[Decision | Problem, ...]:
    replayed = _replayed(answer)
    return tuple(
        _decided(it["decision"], replayed=replayed) if "decision" in it else _problem(it["problem"])
        for it in _plain(answer)["results"]
    )


def _read_page(answer: httpx.Response) -> Page:
    plain = _plain(answer)
    found = (BrokenDecision(it["decision_id"]) if it.get("broken") else _decided(it) for it in plain["decisions"])
    return Page(tuple(found), plain.get("next_cursor"))


def _read_report(answer: httpx.Response) -> OutcomeReport:
    plain = _plain(answer)
    day = date.fromisoformat(plain["observed_on"])
    return OutcomeReport(plain["report_id"], plain["decision_id"], plain["status"], day)


def _read_screening(answer: httpx.Response) -> Screening:
    plain = _plain(answer)
    at = datetime.fromisoformat(plain["screened_at"])
    return Screening(plain["screening_id"], plain["decision_id"], plain["result"], at)


def _read_override(answer: httpx.Response) -> Override:
    plain = _plain(answer)
    names, until = ("decision_id", "outcome", "direction", "reason", "state"), plain["expires_at"]
    return Override(
        **{name: plain[name] for name in names},
        decided_at=datetime.fromisoformat(plain["decided_at"]),
        expires_at=None if until is None else datetime.fromisoformat(until),
    )


def _read_review(answer: httpx.Response) -> Review:
    return _reviewed(_plain(answer))


def _read_reviews(answer: httpx.Response) -> tuple[Review, ...]:
    return tuple(_reviewed(it) for it in _plain(answer)["reviews"])


def _reviewed(plain: Mapping[str, Any]) -> Review:
    decided_at = plain.get("decided_at")
    return Review(
        **{name: plain[name] for name in ("review_id", "decision_id", "pack", "state")},
        **{name: plain[name] for name in ("late", "verdict", "outcome", "new_decision_id") if name in plain},
        requested_at=datetime.fromisoformat(plain["requested_at"]),
        due_on=date.fromisoformat(plain["due_on"]),
        decided_at=None if decided_at is None else datetime.fromisoformat(decided_at),
    )


def _read_links(answer: httpx.Response) -> Links:
    plain = _plain(answer)
    links = (
        Link(it["decision_id"], it["why"], it["is"] == "earlier", datetime.fromisoformat(it["linked_at"]))
        for it in plain["links"]
    )
    return Links(plain["compared"], tuple(links))


def _read_health(answer: httpx.Response) -> Health:
    return Health(answer.is_success, _parsed(answer.content))


def _decided(plain: Mapping[str, Any], *, replayed: bool = False) -> Decision:
    place = plain["receipt"]
    return Decision(
        **_assessed(plain),
        decision_id=plain["decision_id"],
        application_id=plain["application_id"],
        receipt=LogPlace(place["leaf_index"], place["tree_size"]),
        replayed=replayed,
    )


def _assessed(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a decision and a simulation have in common."""
    pins = plain["pins"]
    return {
        **{name: plain[name] for name in ("outcome", "because", "score", "pd", "band", "cutoff")},
        "reasons": tuple(Reason(it["code"], it["text"]) for it in plain["reasons"]),
        "unusual": tuple(plain["unusual"]),
        "pins": Pins(*(pins[it.name] for it in fields(Pins))),
        "decided_at": datetime.fromisoformat(plain["decided_at"]),
    }


OPEN_REVIEWS = Call("GET", "/v1/review-requests", _read_reviews)
HEALTH = Call("GET", "/health/ready", _read_health)
