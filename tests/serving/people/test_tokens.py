"""Tokens of people: one kind of right one, and every wrong one with the same answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.lending import KEY
from tests.serving.http.fakes import house
from tests.serving.people import providers
from tests.serving.people.providers import (
    AUDIENCE,
    EC,
    ED,
    ISSUER,
    KEYS,
    OTHER_RSA,
    RSA,
    b64,
    claims,
    key_set,
    provider,
    token,
)

from obligor.adapters.identity.key_set import HttpKeySource
from obligor.core.errors import InvalidInputError, UnauthenticatedError, UnavailableError
from obligor.security.access_tokens import LIFETIME_S, write_access_token
from obligor.security.tokens import Issuer, TokenError, UnknownKeyError, read_key_set, read_token
from obligor.serving.people.access import Person
from obligor.serving.people.authenticating import Authenticator
from obligor.serving.people.tokens import FRESH_S, LocalTokens, ProviderTokens
from obligor.serving.rows import ApiKeyRow, UserRoleRow, UserRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHOSE = Issuer(ISSUER, AUDIENCE, strong=frozenset({"mfa"}))


@dataclass
class Clock:
    """Two clocks that a test moves together."""

    ahead_s: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s


@dataclass
class Known:
    """The people of the store."""

    people: dict[str, Person] = field(default_factory=dict)

    async def person(self, user_id: str) -> Person | None:
        return self.people.get(user_id)

    async def everybody(self) -> tuple[Person, ...]:
        return tuple(self.people.values())

    async def ever(self, role: str) -> int:
        return sum(role in it.granted for it in self.people.values())

    def add(self, user_id: str, *roles: str, password: str = "hash", disabled: bool = False) -> None:  # noqa: S107  no password
        at = datetime.now(UTC)
        granted = tuple(UserRoleRow(user_id, it, "granted", "one", "other", at) for it in roles)
        self.people[user_id] = Person(UserRow(user_id, password, at, at if disabled else None), granted)


class NoKeys:
    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        return None


@pytest.fixture(scope="module")
def running() -> Iterator[providers.Provider]:
    with provider() as it:
        yield it


def provider_tokens(
    url: str, clock: Clock, known: Known, issuer: Issuer = WHOSE, *, second_factor: bool = False
) -> ProviderTokens:
    source = HttpKeySource(url, production=False)
    return ProviderTokens(issuer, source, known, now=clock.now, monotonic=clock.monotonic, second_factor=second_factor)


def authenticator(url: str, clock: Clock, known: Known, issuer: Issuer = WHOSE) -> Authenticator:
    tokens = provider_tokens(url, clock, known, issuer)
    return Authenticator(NoKeys(), now=clock.now, monotonic=clock.monotonic, tokens=tokens)


# What is let in


@pytest.mark.parametrize("kid", sorted(KEYS))
def test_a_person_is_let_in_by_each_algorithm_with_their_roles(running: providers.Provider, kid: str) -> None:
    async def run() -> None:
        door = authenticator(running.url, Clock(), Known())
        caller = await door.authenticate(f"Bearer {token(kid=kid)}", peer="192.0.2.1")
        assert (caller.kind, caller.subject, caller.by) == ("person", "5e0f-ada", "person:5e0f-ada")
        assert (caller.roles, caller.scopes, caller.strong) == ({"analyst"}, frozenset(), False)

    asyncio.run(run())


def read(text: str, issuer: Issuer = WHOSE, at: float = 0.0) -> Any:
    return read_token(
        text, keys=read_key_set(key_set()), issuer=issuer, at=datetime.fromtimestamp(time.time() + at, UTC)
    )


def test_a_second_factor_is_what_the_lender_names() -> None:
    assert read(token(claims(acr="mfa"))).strong
    assert not read(token(claims(acr="pwd"))).strong
    assert not read(token(claims(acr=["mfa"]))).strong
    assert not read(token(claims(acr="mfa")), Issuer(ISSUER, AUDIENCE)).strong


def test_where_everybody_is_asked_for_a_second_factor_nobody_comes_in_without_and_systems_do(
    running: providers.Provider,
) -> None:
    """23 NYCRR 500: a second factor of any individual, whatever they do; a system is none."""

    async def run() -> None:
        clock, known, refused = Clock(), Known(), []
        tokens = provider_tokens(running.url, clock, known, second_factor=True)
        door = Authenticator(NoKeys(), now=clock.now, monotonic=clock.monotonic, tokens=tokens, refused=refused.append)
        for roles in (["analyst"], ["auditor"], []):
            with pytest.raises(UnauthenticatedError) as told:
                await door.authenticate(f"Bearer {token(claims(roles=roles, acr='pwd'))}", peer="192.0.2.1")
            assert "factor" not in str(told.value)
            assert (await door.authenticate(f"Bearer {token(claims(roles=roles, acr='mfa'))}", peer="")).strong
        assert refused == ["weak"] * 3
        system = await door.authenticate(f"Bearer {token(claims(roles=['los'], client_id='loan-desk'))}", peer="")
        assert (system.client_id, system.strong) == ("loan-desk", False)

    asyncio.run(run())


def test_where_everybody_is_asked_for_a_second_factor_a_password_alone_opens_nothing() -> None:
    async def run() -> None:
        known, clock = Known(), Clock()
        known.add("ada", "analyst")
        text = write_access_token("ada", key=KEY, at=int(clock.now().timestamp()))
        for production in (True, False):
            it = LocalTokens(KEY.verifier, known, now=clock.now, production=production, second_factor=True)
            if not production:
                assert (await it.caller(text)).strong
                clock.ahead_s = FRESH_S + 1
            with pytest.raises(TokenError, match="weak"):
                await it.caller(text)

    asyncio.run(run())


def test_roles_may_stand_within_an_object() -> None:
    nested = Issuer(ISSUER, AUDIENCE, roles_claim="realm_access.roles")
    assert read(token(claims(roles=None, realm_access={"roles": ["auditor", 7]})), nested).roles == {"auditor"}
    assert read(token(claims(roles="auditor"))).roles == frozenset()
    assert read(token(claims(roles=None, realm_access=["auditor"])), nested).roles == frozenset()


def test_clocks_may_differ_by_a_minute_and_no_more() -> None:
    now = int(time.time())
    for good in (claims(exp=now - 55, iat=now - 300), claims(nbf=now + 55), claims(iat=now + 55, exp=now + 200)):
        read(token(good))


def test_a_system_with_the_role_of_systems_is_a_client() -> None:
    async def run() -> None:
        with provider() as it:
            door = authenticator(it.url, Clock(), Known())
            text = token(claims(roles=["los"], client_id="loan-desk"))
            caller = await door.authenticate(f"Bearer {text}", peer="")
            assert (caller.kind, caller.client_id, caller.by) == ("client", "loan-desk", "client:loan-desk")
            for wrong in ({"client_id": "person:ada"}, {"client_id": None}, {"roles": ["los", "analyst"]}):
                bad = token(claims(**{"roles": ["los"], "client_id": "loan-desk"} | wrong))
                with pytest.raises(UnauthenticatedError):
                    await door.authenticate(f"Bearer {bad}", peer="")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"iat": -300, "exp": 300}, None),  # ten minutes, and no second more
        ({"iat": -301, "exp": 300}, "malformed"),
        ({"iat": 30, "exp": 30}, "malformed"),
        ({"iat": 60, "exp": 300}, None),
        ({"iat": 61, "exp": 300}, "malformed"),
        ({"iat": 0, "exp": 300, "nbf": 60}, None),
        ({"iat": 0, "exp": 300, "nbf": 61}, "malformed"),
        ({"iat": -300, "exp": -59}, None),
        ({"iat": -300, "exp": -60}, "expired"),
    ],
)
def test_a_token_counts_from_and_until_the_second_that_it_says(said: dict[str, int], why: str | None) -> None:
    now = 1_795_000_000
    text = token(claims(**{name: now + it for name, it in said.items()}))

    def found() -> Any:
        return read_token(text, keys=read_key_set(key_set()), issuer=WHOSE, at=datetime.fromtimestamp(now, UTC))

    if why is None:
        assert found().expires_at == now + said["exp"] + 60
    else:
        with pytest.raises(TokenError, match=why):
            found()


def test_a_system_may_be_named_as_the_party_that_the_token_was_made_for() -> None:
    assert read(token(claims(client_id=None, azp="loan-desk"))).client_id == "loan-desk"
    assert read(token(claims(azp="other"))).client_id == "console"
    assert read(token(claims(client_id=None))).client_id == ""


def test_a_token_may_be_for_others_too_and_repeat_its_key_as_thumbprints() -> None:
    assert read(token(claims(aud=["billing", AUDIENCE]))).subject == "5e0f-ada"
    assert read(token(x5t="a", **{"x5t#S256": "b"})).subject == "5e0f-ada"


# What is not, as F29 lists it


def unsigned(algorithm: str) -> Callable[[], str]:
    return lambda: f"{b64({'alg': algorithm, 'kid': 'rsa-1', 'typ': 'at+jwt'})}.{b64(claims())}."


def with_public_key_as_secret() -> str:
    text = f"{b64({'alg': 'HS256', 'kid': 'rsa-1', 'typ': 'at+jwt'})}.{b64(claims())}"
    secret = RSA.as_pem(private=False)
    return f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def tampered() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{b64(claims(roles=['admin']))}.{signature}"


def padded() -> str:
    head, payload, signature = token().split(".")
    return f"{head}.{payload}=.{signature}"


def loose_bits() -> str:
    """The same bytes, written with other unused bits at the end."""
    head, payload, signature = token(claims(sub="a")).split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(head[-1]) ^ 1]
    assert base64.urlsafe_b64decode(head + "==") == base64.urlsafe_b64decode(head[:-1] + other + "==")
    return f"{head[:-1]}{other}.{payload}.{signature}"


def twice(name: str) -> Callable[[], str]:
    def made() -> str:
        said = claims()
        text = json.dumps(said)[:-1] + f", {json.dumps(name)}: {json.dumps(said[name])}}}"
        return token(text.encode())

    return made


def header_twice() -> str:
    head = b'{"alg":"none","kid":"rsa-1","typ":"at+jwt","alg":"RS256"}'
    return providers.signed(head, json.dumps(claims()).encode(), RSA, "RS256")


def own_key() -> dict[str, Any]:
    return OTHER_RSA.as_dict(private=False)


WRONG: dict[str, Callable[[], str]] = {
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg NONE": unsigned("NONE"),
    "alg nOnE": unsigned("nOnE"),
    "HS256 with the public key as its secret": with_public_key_as_secret,
    "RS384": lambda: token(alg="RS384"),
    "PS256": lambda: token(alg="PS256"),
    "the algorithm of another key": lambda: token(kid="rsa-1", key=RSA, alg="ES256"),
    "the key of another algorithm": lambda: providers.signed(
        json.dumps({"alg": "RS256", "kid": "ec-1", "typ": "at+jwt"}).encode(),
        json.dumps(claims()).encode(),
        RSA,
        "RS256",
    ),
    "a key id that is a path": lambda: token(kid="../../../../dev/null"),
    "a key id that is SQL": lambda: token(kid="x' UNION SELECT 'secret"),
    "a key id that is an address": lambda: token(kid="https://evil.example/keys"),
    "a key id that is a number": lambda: token_with(kid=1),
    "no key id": lambda: token_with(kid=None),
    "an algorithm that is a list": lambda: token_with(alg=["RS256"]),
    "a type that is a list": lambda: token_with(typ=["at+jwt"]),
    "jku": lambda: token(jku="https://evil.example/keys", key=OTHER_RSA),
    "x5u": lambda: token(x5u="https://evil.example/cert"),
    "jwk": lambda: token(jwk=own_key(), key=OTHER_RSA),
    "x5c": lambda: token(x5c=["MIIB"]),
    "crit": lambda: token(crit=["exp"]),
    "crit of something unknown": lambda: token(crit=["urn:x"], **{"urn:x": True}),
    "b64 false": lambda: token(b64=False, crit=["b64"]),
    "b64 false alone": lambda: token(b64=False),
    "packed": lambda: token(zip="DEF"),
    "a nested token": lambda: token(cty="JWT"),
    "another issuer": lambda: token(claims(iss="https://id.other.example")),
    "the issuer with a slash": lambda: token(claims(iss=ISSUER + "/")),
    "no issuer": lambda: token(claims(iss=None)),
    "another audience": lambda: token(claims(aud="billing")),
    "audiences without ours": lambda: token(claims(aud=["billing", "obligor2"])),
    "no audience": lambda: token(claims(aud=None)),
    "an ID token by its type": lambda: token(typ="JWT"),
    "an ID token by its nonce": lambda: token(claims(nonce="n")),
    "an ID token by its hash": lambda: token(claims(at_hash="x")),
    "an ID token by the hash of its code": lambda: token(claims(c_hash="x")),
    "a refresh token": lambda: token(claims(typ="Refresh")),
    "no type": lambda: token(typ=None),
    "expired": lambda: token(claims(exp=int(time.time()) - 61, iat=int(time.time()) - 300)),
    "not yet": lambda: token(claims(nbf=int(time.time()) + 65)),
    "from the future": lambda: token(claims(iat=int(time.time()) + 65, exp=int(time.time()) + 300)),
    "no end": lambda: token(claims(exp=None)),
    "no beginning": lambda: token(claims(iat=None)),
    "an end that is a text": lambda: token(claims(exp=str(int(time.time()) + 300))),
    "an end that is true": lambda: token(claims(exp=True)),
    "an end beyond all time": lambda: token(json.dumps(claims()).replace('"exp": ', '"exp": 1e400, "x": ').encode()),
    "an end that is no number": lambda: token(json.dumps(claims()).replace('"exp": ', '"exp": NaN, "x": ').encode()),
    "made out for an hour": lambda: token(claims(exp=int(time.time()) + 3600)),
    "no subject": lambda: token(claims(sub=None)),
    "an empty subject": lambda: token(claims(sub="")),
    "a subject with a line break": lambda: token(claims(sub="ada\nroot")),
    "a subject that nobody could be called": lambda: token(claims(sub="ada' OR '1'='1")),
    "a subject that is a list": lambda: token(claims(sub=["ada"])),
    "a client that is a number": lambda: token(claims(client_id=7)),
    "a claim twice": twice("sub"),
    "an end twice": twice("exp"),
    "a header twice": header_twice,
    "signed by another key": lambda: token(key=OTHER_RSA),
    "tampered": tampered,
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "padded": padded,
    "another text of the same bytes": loose_bits,
    "of two parts": lambda: token().rpartition(".")[0],
    "of five parts": lambda: token() + ".a.b",
    "huge": lambda: token(claims(pad="x" * 8192)),
    "a payload that is a list": lambda: token(b"[]"),
    "a payload that is no JSON": lambda: token(b"hello"),
    "nested deep": lambda: token(b'{"a":' * 1500 + b"1" + b"}" * 1500),
    "one of our own form": lambda: "obu_" + token(),
    "no token": lambda: "x",
}


def token_with(**header: Any) -> str:
    head = {"alg": "RS256", "kid": "rsa-1", "typ": "at+jwt", **header}
    head = {name: it for name, it in head.items() if it is not None}
    return providers.signed(json.dumps(head).encode(), json.dumps(claims()).encode(), RSA, "RS256")


@pytest.fixture(scope="module")
def uniform() -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """What somebody is told who shows nothing."""
    return asyncio.run(answer(None))


async def answer(text: str | None, url: str = "http://127.0.0.1:9/keys") -> Any:
    of = house(authenticating=authenticator(url, Clock(), Known()))
    headers = {} if text is None else {"authorization": f"Bearer {text}"}
    async with of.client(None) as client:
        told = await client.get("/v1/release", headers=headers)
    return told.status_code, told.content, sorted(told.headers.raw)


@pytest.mark.parametrize("wrong", WRONG)
def test_whoever_shows_a_wrong_token_gets_the_same_answer_as_whoever_shows_none(
    running: providers.Provider, uniform: Any, wrong: str
) -> None:
    assert asyncio.run(answer(WRONG[wrong](), running.url)) == uniform
    assert uniform[0] == 401


def test_the_right_token_passes_where_the_wrong_ones_did_not(running: providers.Provider) -> None:
    assert asyncio.run(answer(token(), running.url))[0] == 200


def test_a_token_with_the_type_of_a_provider_is_taken_where_the_lender_says_so() -> None:
    loose = Issuer(ISSUER, AUDIENCE, types=frozenset({"JWT"}))
    assert read(token(typ="JWT"), loose).subject == "5e0f-ada"
    assert read(token(typ="application/AT+jwt")).subject == "5e0f-ada"
    assert read(token(claims(typ="Bearer"), typ="JWT"), loose).subject == "5e0f-ada"
    for other in (claims(typ="ID"), claims(typ="Refresh"), claims(nonce="n")):
        with pytest.raises(TokenError):
            read(token(other, typ="JWT"), loose)


# The provider's keys


def test_keys_that_are_secret_small_for_another_use_or_of_one_name_are_left_out() -> None:
    small = json.loads(key_set())["keys"][0] | {"n": b64(b"\xff" * 128), "kid": "small"}
    secret = {"kty": "oct", "k": b64(b"x" * 32), "kid": "oct"}
    sealing = providers.public(EC, "enc") | {"use": "enc"}
    other = providers.public(ED, "alg") | {"alg": "RS256"}
    pair = [providers.public(RSA, "pair"), providers.public(OTHER_RSA, "pair")]
    unnamed = providers.public(EC, "x") | {"kid": 7}
    plain = EC.as_dict(private=False) | {"kid": "plain"}
    wrong = [small, secret, sealing, other, *pair, unnamed, {"kty": "RSA", "kid": "empty"}, 7]
    listed = [*wrong, providers.public(EC, "good"), plain]
    assert list(read_key_set(json.dumps({"keys": listed}).encode()).keys) == ["good", "plain"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys": 1}', b"<html>", json.dumps({"keys": [{}] * 101}).encode()])
def test_what_is_no_key_set_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read_key_set(body)


def test_a_hundred_keys_are_a_key_set() -> None:
    assert (
        read_key_set(json.dumps({"keys": [*json.loads(key_set())["keys"], *[{}] * 97]}).encode()).keys.keys()
        == KEYS.keys()
    )


def test_a_new_key_is_found_at_once_and_the_old_one_is_gone_with_its_set() -> None:
    async def run() -> None:
        with provider() as it:
            clock = Clock()
            it.body = key_set(rsa_1=("RS256", RSA))
            door = authenticator(it.url, clock, Known())
            await door.authenticate(f"Bearer {token()}", peer="")
            it.body = key_set(ec_1=("ES256", EC))
            clock.ahead_s = 61
            await door.authenticate(f"Bearer {token(kid='ec-1')}", peer="")
            with pytest.raises(UnauthenticatedError):
                await door.authenticate(f"Bearer {token()}", peer="")
            assert len(it.asked) == 2

    asyncio.run(run())


def test_a_key_given_up_is_out_within_five_minutes_though_nobody_shows_a_new_one() -> None:
    async def run() -> None:
        with provider() as it:
            clock = Clock()
            door = authenticator(it.url, clock, Known())
            await door.authenticate(f"Bearer {token()}", peer="")
            it.body = key_set(ec_1=("ES256", EC))
            clock.ahead_s = 301
            now = int(clock.now().timestamp())
            with pytest.raises(UnauthenticatedError):
                await door.authenticate(f"Bearer {token(claims(iat=now, exp=now + 60))}", peer="")

    asyncio.run(run())


def test_keys_are_looked_at_again_in_time_and_nobody_waits_for_it() -> None:
    async def run() -> None:
        with provider() as it:
            clock = Clock()
            door = authenticator(it.url, clock, Known())
            await door.authenticate(f"Bearer {token()}", peer="")
            it.body, it.slow_s, clock.ahead_s = key_set(ec_1=("ES256", EC)), 0.5, 241
            began = time.monotonic()
            now = int(clock.now().timestamp())
            await door.authenticate(f"Bearer {token(claims(iat=now, exp=now + 60))}", peer="")
            assert time.monotonic() - began < it.slow_s
            await asyncio.sleep(2 * it.slow_s)
            assert len(it.asked) == 2
            it.slow_s = 0
            with pytest.raises(UnauthenticatedError):
                await door.authenticate(f"Bearer {token(claims(iat=now, exp=now + 59))}", peer="")

    asyncio.run(run())


def test_where_the_provider_hangs_one_request_finds_out_and_no_other_waits() -> None:
    async def run() -> None:
        with provider() as it:
            clock = Clock()
            door = authenticator(it.url, clock, Known())
            await door.authenticate(f"Bearer {token()}", peer="")
            it.status, it.slow_s = 500, 0.5
            took = []
            for ahead in (301, 362, 423, 484):
                clock.ahead_s = ahead
                now, began = int(clock.now().timestamp()), time.monotonic()
                await door.authenticate(f"Bearer {token(claims(iat=now, exp=now + 60))}", peer="")
                took.append(time.monotonic() - began >= it.slow_s)
                await asyncio.sleep(2 * it.slow_s)
            assert took == [True, False, False, False]
            assert len(it.asked) == 5  # it was asked once a minute all the same

    asyncio.run(run())


def test_a_flood_of_unknown_keys_asks_the_provider_once_a_minute() -> None:
    async def run() -> None:
        with provider() as it:
            clock = Clock()
            door = authenticator(it.url, clock, Known())
            await door.authenticate(f"Bearer {token()}", peer="")
            for minute in range(3):
                clock.ahead_s = 61.0 * minute
                for at in range(20):
                    with pytest.raises(UnauthenticatedError):
                        await door.authenticate(
                            f"Bearer {token(kid=f'k-{at}-{minute}', key=RSA)}", peer=f"192.0.2.{at}"
                        )
            assert len(it.asked) == 3

    asyncio.run(run())


def test_whoever_leaves_while_keys_are_fetched_takes_them_from_nobody() -> None:
    """A call with a deadline is cancelled at it; one without a right token could keep everybody out for a minute, and again."""

    async def run() -> None:
        with provider() as it:
            it.slow_s = 0.3
            door = authenticator(it.url, Clock(), Known())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await door.authenticate(f"Bearer {token(kid='nobodys', key=RSA)}", peer="")
            assert (await door.authenticate(f"Bearer {token()}", peer="")).subject == "5e0f-ada"
            assert len(it.asked) == 1

    asyncio.run(run())


def test_while_newer_keys_are_fetched_tokens_of_them_wait_and_of_known_ones_do_not() -> None:
    async def run() -> None:
        with provider() as it:
            clock = Clock()
            it.body = key_set(rsa_1=("RS256", RSA))
            door = authenticator(it.url, clock, Known())
            await door.authenticate(f"Bearer {token()}", peer="")
            it.body, it.slow_s, clock.ahead_s = key_set(), 0.3, 61
            first, second = (
                asyncio.ensure_future(door.authenticate(f"Bearer {token(claims(sub=sub), kid='ec-1')}", peer=""))
                for sub in ("ada", "grace")
            )
            await asyncio.sleep(0.1)
            known = await door.authenticate(f"Bearer {token(claims(sub='joan'))}", peer="")
            assert (known.subject, first.done(), second.done()) == ("joan", False, False)
            assert [(await it).subject for it in (first, second)] == ["ada", "grace"]
            assert len(it.asked) == 2

    asyncio.run(run())


def test_only_so_many_wait_for_keys() -> None:
    async def run() -> None:
        with provider() as it:
            it.slow_s = 0.3
            door = authenticator(it.url, Clock(), Known())
            asked = [door.authenticate(f"Bearer {token(kid=f'k-{at}', key=RSA)}", peer="") for at in range(100)]
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert [sum(isinstance(it, kind) for it in told) for kind in (UnauthenticatedError, UnavailableError)] == [
                64,
                36,
            ]

    asyncio.run(run())


def test_where_the_provider_is_down_known_keys_verify_for_an_hour_and_then_nobody_is_let_in() -> None:
    async def run() -> None:
        with provider() as it:
            clock = Clock()
            door = authenticator(it.url, clock, Known())
            await door.authenticate(f"Bearer {token()}", peer="")
            it.status = 500
            clock.ahead_s = 400
            now = int(clock.now().timestamp())
            await door.authenticate(f"Bearer {token(claims(iat=now, exp=now + 60))}", peer="")
            clock.ahead_s = 3700
            now = int(clock.now().timestamp())
            with pytest.raises(UnavailableError):
                await door.authenticate(f"Bearer {token(claims(iat=now, exp=now + 60))}", peer="")

    asyncio.run(run())


def test_tokens_tell_whether_the_provider_gave_its_keys_when_it_was_asked_last() -> None:
    async def run() -> list[bool]:
        with provider() as it:
            clock = Clock()
            tokens = provider_tokens(it.url, clock, Known())
            told = [tokens.well]
            for status, ahead_s in ((200, 0.0), (500, 400.0), (200, 800.0)):
                it.status, clock.ahead_s = status, ahead_s
                now = int(clock.now().timestamp())
                await tokens.caller(token(claims(iat=now, exp=now + 60)))
                told.append(tokens.well)
            return told

    assert asyncio.run(run()) == [True, True, False, True]


def test_a_checked_token_is_not_read_again_and_ends_when_it_says() -> None:
    async def run() -> None:
        with provider() as it:
            clock, known = Clock(), Known()
            door = authenticator(it.url, clock, known)
            text = f"Bearer {token(claims(exp=int(time.time()) + 10))}"
            first = await door.authenticate(text, peer="")
            assert await door.authenticate(text, peer="") is first
            clock.ahead_s = 71
            with pytest.raises(UnauthenticatedError):
                await door.authenticate(text, peer="")

    asyncio.run(run())


def test_who_is_disabled_here_is_out_within_a_minute_and_at_once_where_it_is_told() -> None:
    async def run() -> None:
        with provider() as it:
            for told, wait in ((True, 0.0), (False, 31.0)):
                clock, known = Clock(), Known()
                door = authenticator(it.url, clock, known)
                text = f"Bearer {token()}"
                await door.authenticate(text, peer="")
                known.add("5e0f-ada", disabled=True)
                if told:
                    door.forget()
                clock.ahead_s = wait
                with pytest.raises(UnauthenticatedError):
                    await door.authenticate(text, peer="")

    asyncio.run(run())


def test_whoever_looks_again_at_a_token_of_somebody_who_was_disabled_ends_it_for_all() -> None:
    async def run() -> None:
        with provider() as it:
            clock, known = Clock(), Known()
            door = authenticator(it.url, clock, known)
            text = f"Bearer {token()}"
            await door.authenticate(text, peer="")
            assert door.known(text) is not None
            known.add("5e0f-ada", disabled=True)
            door.doubt()
            with pytest.raises(UnauthenticatedError):
                await door.authenticate(text, peer="")
            assert [door.known(text) for _ in range(3)] == [None] * 3

    asyncio.run(run())


# The address of the keys (F33)


@pytest.mark.parametrize(
    "url",
    [
        *("http://id.bank.example/keys", "ftp://id.bank.example/keys", "file:///etc/passwd", "id.bank.example"),
        *("https://user:word@id.bank.example/keys", "https://id.bank.example/keys#x", "https://", "https://a b/keys"),
        *("http://10.0.0.1/keys", "http://[::ffff:10.0.0.1]/keys", "gopher://127.0.0.1/", "https://id.bank.example:x/"),
    ],
)
def test_an_address_of_keys_that_is_not_https_is_refused(url: str) -> None:
    for production in (True, False):
        with pytest.raises(InvalidInputError, match="OBLIGOR_OIDC_JWKS_URL") as caught:
            HttpKeySource(url, production=production)
        assert "word" not in str(caught.value)


def test_plain_http_goes_to_this_machine_and_in_production_nowhere() -> None:
    HttpKeySource("http://127.0.0.1:8080/keys", production=False)
    with pytest.raises(InvalidInputError):
        HttpKeySource("http://127.0.0.1:8080/keys", production=True)


def fetched(it: providers.Provider, **said: Any) -> bytes:
    return asyncio.run(HttpKeySource(said.pop("url", it.url), production=False, **said).fetch())


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "0.0.0.0", "224.0.0.1"),  # noqa: S104
        *("10.0.0.1", "::ffff:10.0.0.1"),
    ],
)
def test_a_name_that_stands_for_an_address_of_the_surroundings_is_not_asked(
    running: providers.Provider, address: str
) -> None:
    before = len(running.asked)

    def resolve(_host: str, _port: int) -> list[str]:
        return [address]

    with pytest.raises(UnavailableError, match="refused"):
        fetched(running, url=f"http://localhost:{running.port}/keys", resolve=resolve)
    assert len(running.asked) == before


def test_the_address_that_was_looked_at_is_the_one_that_is_asked(running: providers.Provider) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    def resolve(_host: str, _port: int) -> list[str]:
        return next(answers)

    assert fetched(running, url=f"http://localhost:{running.port}/keys", resolve=resolve) == running.body
    assert next(answers) == ["169.254.169.254"]  # nobody looked a second time


def test_a_provider_that_redirects_answers_too_much_or_nothing_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    with provider() as it:
        it.status, it.headers = 302, {"location": it.url + "/elsewhere"}
        with pytest.raises(UnavailableError, match="302"):
            fetched(it)
        assert it.asked == ["/keys"]
        it.status, it.headers, it.body = 200, {}, b"x" * (257 << 10)
        with pytest.raises(UnavailableError, match="more than"):
            fetched(it)
    with pytest.raises(UnavailableError, match="did not answer"):
        fetched(it)


def test_a_proxy_of_the_environment_is_not_asked(running: providers.Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert fetched(running) == running.body


# People of the store


def local(known: Known, clock: Clock, *, production: bool = True) -> LocalTokens:
    return LocalTokens(KEY.verifier, known, now=clock.now, production=production)


def test_who_signed_in_has_the_roles_that_the_store_says_now() -> None:
    async def run() -> None:
        known, clock = Known(), Clock()
        known.add("ada", "analyst")
        text = write_access_token("ada", key=KEY, at=int(clock.now().timestamp()))
        caller = await local(known, clock).caller(text)
        assert (caller.by, caller.roles, caller.strong) == ("person:ada", {"analyst"}, False)
        known.add("ada", "auditor")
        assert (await local(known, clock).caller(text)).roles == {"auditor"}

    asyncio.run(run())


def test_a_password_just_typed_counts_as_a_second_look_in_development_for_five_minutes() -> None:
    async def run() -> None:
        known, clock = Known(), Clock()
        known.add("ada", "compliance")
        text = write_access_token("ada", key=KEY, at=int(clock.now().timestamp()))
        assert (await local(known, clock, production=False).caller(text)).strong
        clock.ahead_s = FRESH_S + 1
        assert not (await local(known, clock, production=False).caller(text)).strong

    asyncio.run(run())


def test_a_token_of_ours_that_was_changed_ended_or_is_nobodys_opens_nothing() -> None:
    known, clock = Known(), Clock()
    known.add("ada", "analyst")
    known.add("gone", disabled=True)
    known.add("elsewhere", password="")
    now = int(clock.now().timestamp())
    good = write_access_token("ada", key=KEY, at=now)
    said, _, signature = good.removeprefix("obu_").partition(".")
    forged = b64({"exp": now + 600, "iat": now, "sub": "root"})
    wrong = {
        f"obu_{forged}.{signature}": "malformed",
        f"obu_{said}.{signature[:-1]}{'A' if signature[-1] != 'A' else 'B'}": "malformed",
        good + "=": "malformed",
        good.removeprefix("obu_"): "malformed",
        write_access_token("ada", key=KEY, at=now - LIFETIME_S): "expired",
        write_access_token("nobody", key=KEY, at=now): "unknown",
        write_access_token("gone", key=KEY, at=now): "revoked",
        write_access_token("elsewhere", key=KEY, at=now): "revoked",
        token(): "malformed",
    }

    async def run() -> None:
        for text, why in wrong.items():
            with pytest.raises(TokenError) as caught:
                await local(known, clock).caller(text)
            assert caught.value.why == why

    asyncio.run(run())


def test_a_statement_signed_for_something_else_is_no_token() -> None:
    now = int(time.time())
    said = json.dumps({"exp": now + 600, "iat": now, "sub": "ada"}).encode()
    known = Known()
    known.add("ada", "analyst")
    for signature in (KEY.sign_statement(said, purpose="release"), KEY._private.sign(said)):
        with pytest.raises(TokenError):
            asyncio.run(local(known, Clock()).caller(f"obu_{b64(said)}.{b64(signature)}"))


def test_an_unknown_key_is_told_apart_from_a_wrong_token_so_that_the_provider_is_asked_again() -> None:
    with pytest.raises(UnknownKeyError):
        read(token(kid="rsa-2", key=RSA))
    for kid in ("", "rsa 2", "\u00e9", "k" * 201):  # what names no key
        with pytest.raises(TokenError) as caught:
            read(token(kid=kid, key=RSA))
        assert not isinstance(caught.value, UnknownKeyError)


def test_a_check_of_tokens_costs_no_request_where_there_is_none_to_check() -> None:
    """Without a source of people every token is a malformed key."""

    async def run() -> None:
        door = Authenticator(NoKeys(), now=Clock().now)
        with pytest.raises(UnauthenticatedError):
            await door.authenticate(f"Bearer {token()}", peer="")

    asyncio.run(run())
