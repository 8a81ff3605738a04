"""Whoever guesses keys and passwords is held up as who they try and from where, not as a header says, and no clock tells more.

The times are compared by a rank test over attempts in turn, with bounds so wide that only work that is not done at all is
seen: a hash of a password left out, a question to the store left out. What is nearer together drowns in any network.
"""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from scipy.stats import mannwhitneyu
from tests.serving.http.fakes import house
from tests.serving.http.serving import run
from tests.serving.people.test_authenticating import door, new_key, refusal, told_of
from tests.serving.people.test_roles import PASSWORD, desk

from obligor.core.errors import UnauthenticatedError
from obligor.serving.people.authenticating import Limits, Rate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FREE = Limits(by_key=Rate(10**6, 1e-6), by_network=Rate(10**6, 1e-6))


def claiming(at: int) -> dict[str, str]:
    """What a client may write of where it comes from."""
    return {
        "x-forwarded-for": f"192.0.2.{at}",
        "forwarded": f"for=192.0.2.{at}",
        "x-real-ip": f"192.0.2.{at}",
        "true-client-ip": f"192.0.2.{at}",
        "cf-connecting-ip": f"192.0.2.{at}",
    }


def client_of(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=("198.51.100.9", 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://obligor.example")


def test_guesses_at_a_password_over_http_are_limited_whatever_the_headers_claim() -> None:
    async def main() -> None:
        of = house(sign_in=(await desk()).inner)
        async with client_of(of.app) as client:
            statuses = []
            for at in range(9):
                said = {"user": "ada", "password": f"guess number {at} of many"}
                answer = await client.post("/v1/tokens", json=said, headers=claiming(at))
                statuses.append(answer.status_code)
            assert statuses == [401] * 5 + [429] * 4
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            right = await client.post("/v1/tokens", json={"user": "ada", "password": PASSWORD}, headers=claiming(99))
            assert right.status_code == 429

    run(main())


def test_guesses_that_come_at_once_are_no_more_than_those_that_come_in_turn() -> None:
    async def main() -> None:
        of = house(sign_in=(await desk()).inner)
        async with client_of(of.app) as client:

            async def guess(at: int) -> int:
                said = {"user": "ada", "password": f"guess number {at} of many"}
                return (await client.post("/v1/tokens", json=said)).status_code

            statuses = await asyncio.gather(*map(guess, range(12)))
            assert sorted(statuses) == [401] * 5 + [429] * 7

    run(main())


def test_a_password_that_is_right_uses_up_no_attempt() -> None:
    async def main() -> None:
        of = house(sign_in=(await desk()).inner)
        async with client_of(of.app) as client:
            for _ in range(7):
                answer = await client.post("/v1/tokens", json={"user": "ada", "password": PASSWORD})
                assert answer.status_code == 200

    run(main())


def test_guesses_at_keys_over_http_are_limited_whatever_the_headers_claim_and_a_known_key_goes_on() -> None:
    good = new_key(1)

    async def main() -> None:
        of = house(authenticating=door(good).inner)
        async with client_of(of.app) as client:

            async def ask(text: str, at: int) -> int:
                headers = {"authorization": f"Bearer {text}"} | claiming(at)
                return (await client.get("/v1/release", headers=headers)).status_code

            assert await ask(good.text, 0) == 200
            wrong = [await ask(told_of(good, 100 + at), at) for at in range(14)]
            assert wrong == [401] * 10 + [429] * 4
            others = [await ask(new_key(200 + at).text, at) for at in range(60)]
            assert others.count(401) == 50  # those of the network, with the ten of before
            assert others[-1] == 429
            assert await ask(good.text, 99) == 200

    run(main())


async def timed(turns: int, *asked: Callable[[int], Awaitable[object]]) -> list[list[float]]:
    """Time attempts of several kinds, in turn, so that what the machine does beside strikes them alike."""
    found: list[list[float]] = [[] for _ in asked]
    for turn in range(turns):
        for kind in sorted(range(len(asked)), key=lambda it: (it + turn) % len(asked)):
            begun = perf_counter()
            await asked[kind](turn)
            found[kind].append(perf_counter() - begun)
    return found


def alike(one: list[float], other: list[float]) -> bool:
    """Tell whether two kinds of attempts take about as long: no more than twice, or not told apart by their ranks."""
    ratio = median(one) / median(other)
    return 0.5 < ratio < 2 or mannwhitneyu(one, other).pvalue > 1e-6


def test_the_comparison_would_see_work_that_is_left_out() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(0.004)

    async def quick(_: int) -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        one, other, same = await timed(40, slow, quick, slow)
        assert not alike(one, other)
        assert alike(one, same)

    asyncio.run(main())


def test_an_unknown_a_disabled_and_a_known_user_take_as_long() -> None:
    async def main() -> None:
        it = await desk()
        it.inner._attempts = type(it.inner._attempts)(FREE)

        async def ask(user: str) -> None:
            with pytest.raises(UnauthenticatedError):
                await it.ask(user, "a guess of fifteen letters and more")

        known, unknown, gone = await timed(
            16, lambda _: ask("ada"), lambda turn: ask(f"nobody-{turn}"), lambda _: ask("gone")
        )
        assert alike(known, unknown)
        assert alike(known, gone)

    asyncio.run(main())


def test_an_unknown_and_a_known_key_take_as_long() -> None:
    good, nobodys = new_key(1), new_key(2)

    async def main() -> None:
        it = door(good, limits=FREE)
        known, unknown = await timed(
            300,
            lambda turn: refusal(it.ask(told_of(good, 3 + turn % 200))),
            lambda turn: refusal(it.ask(told_of(nobodys, 3 + turn % 200))),
        )
        assert alike(known, unknown)

    asyncio.run(main())


def test_a_decision_of_another_client_takes_as_long_as_one_that_there_never_was() -> None:
    from tests.serving.http.fakes import BODY, posting

    async def main() -> None:
        of = house()
        async with of.client("two") as other, of.client("one") as client:
            made = (await other.post("/v1/decisions", content=BODY, headers=posting())).json()["decision_id"]

            async def ask(decision_id: str) -> None:
                assert (await client.get(f"/v1/decisions/{decision_id}")).status_code == 404

            theirs, never = await timed(100, lambda _: ask(made), lambda _: ask("01a219ff-58f5-7466-a0dd-8ab778ad92a9"))
            assert alike(theirs, never)

    run(main())
