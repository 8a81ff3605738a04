"""How often a call is tried, and how long is waited in between."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import httpx

from obligor.client.errors import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from obligor.client.calls import Call


_AGAIN = frozenset({429, 503})
_IN_FLIGHT = b'"urn:obligor:problem:conflict"'
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
T = TypeVar("T")
Came = httpx.Response | httpx.TransportError | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one try and one whole call may take, in seconds; the clock and the chance of pauses."""

    timeout: float
    deadline: float
    clock: Callable[[], float]
    chance: Callable[[], float]

    def steps(self, call: Call[T], http: httpx.Client | httpx.AsyncClient) -> Generator[httpx.Request | float, Came, T]:
        """Tell step by step what to do: send a request, which is answered with what came of it, or wait so many seconds."""
        end, pause = self.clock() + self.deadline, _FIRST_PAUSE
        while True:
            left = end - self.clock()
            came = yield call.request(http, max(min(self.timeout, left), 0.001))
            if isinstance(came, httpx.Response) and not _may_pass(came):
                return call.answer(came)
            # Full jitter: callers that failed together do not come back together.
            wait = _asked(came) + self.chance() * pause
            if self.clock() + wait >= end:
                return call.answer(answered(came, " before the deadline"))
            yield wait
            pause = min(pause * 2, _LONGEST_PAUSE)


def _may_pass(came: httpx.Response) -> bool:
    """Tell whether the same request may be answered otherwise later."""
    return came.status_code in _AGAIN or (came.status_code == httpx.codes.CONFLICT and _IN_FLIGHT in came.content)


def answered(came: Came, when: str = "") -> httpx.Response:
    """Give the answer that came.

    Raises
    ------
    NoAnswerError
        Where none did.
    """
    if isinstance(came, httpx.Response):
        return came
    what = type(came).__name__  # its message may hold an address
    raise NoAnswerError(f"the service did not answer{when} ({what})") from came


def _asked(came: Came) -> float:
    """Give the seconds that the answer asks to wait, in either form of Retry-After."""
    text = came.headers.get("Retry-After", "").strip() if isinstance(came, httpx.Response) else ""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at, now = (parsedate_to_datetime(it) for it in (text, came.headers["Date"]))  # type: ignore[union-attr]  # text is empty without an answer
        return max((at - now).total_seconds(), 0.0)
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0.0
