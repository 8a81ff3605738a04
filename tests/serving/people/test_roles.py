"""People of the store: who makes them what they are, what is refused, and how they sign in."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.governance.audit.logs import columns_of
from tests.lending import KEY

from obligor.core.errors import (
    ApplicationError,
    ClashError,
    ForbiddenError,
    InvalidInputError,
    LimitedError,
    NotFoundError,
    UnauthenticatedError,
)
from obligor.security import passwords
from obligor.security.passwords import LEAST_LENGTH, hash_password, is_password
from obligor.security.permissions import permissions
from obligor.serving.acts import Recorded
from obligor.serving.people import signing_in
from obligor.serving.people.access import STALE_AFTER, Person, access_of
from obligor.serving.people.roles import SYSTEMS_ROLE, People, check_user_id
from obligor.serving.people.signing_in import SignIn
from obligor.serving.people.tokens import LocalTokens
from obligor.serving.rows import SignInRow, UserRoleRow, UserRow
from obligor.serving.sources import Sources

if TYPE_CHECKING:
    from obligor.serving.acts import Act, Submission

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
PASSWORD = "a long and quiet harbour"  # noqa: S105  of nobody


@dataclass
class Town:
    """Keeps people in memory, as the store does."""

    users: dict[str, UserRow] = field(default_factory=dict)
    roles: dict[tuple[str, str], UserRoleRow] = field(default_factory=dict)
    seen: dict[str, datetime] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    now: datetime = NOON

    def __post_init__(self) -> None:
        archive: Any = SimpleNamespace(person=self.person, people=self.everybody, ever=self.ever)
        self.people = People(archive, self, Sources(lambda: self.now, bytes))

    async def record(self, submission: Submission) -> Recorded:
        for act in submission.acts:
            self.acts.append(act)
            for row in act.rows:
                match row:
                    case UserRow():
                        self.users[row.user_id] = row
                    case UserRoleRow():
                        self.roles[row.user_id, row.role] = row
                    case SignInRow():
                        self.seen[row.user_id] = row.at
        return Recorded(b"", 200, replayed=False, leaf_index=len(self.acts) - 1)

    async def person(self, user_id: str) -> Person | None:
        user = self.users.get(user_id)
        mine = tuple(it for it in self.roles.values() if it.user_id == user_id)
        return None if user is None else Person(user, mine, self.seen.get(user_id))

    async def everybody(self) -> tuple[Person, ...]:
        found = [await self.person(it) for it in sorted(self.users)]
        return tuple(it for it in found if it is not None)

    async def ever(self, role: str) -> int:
        return sum(it.role == role and it.state != "proposed" for it in self.roles.values())


async def settled(*users: str) -> Town:
    """A town with an administrator who was granted first, and others without a role."""
    town = Town()
    for it in ("root", *users):
        await town.people.add(it, password=None, by="root")
    await town.people.grant("root", "admin", by="root")
    town.acts.clear()
    return town


# Roles


def test_a_role_is_proposed_by_one_person_and_granted_by_another() -> None:
    async def run() -> None:
        town = await settled("ada")
        assert (await town.people.grant("ada", "analyst", by="root")).state == "proposed"
        assert town.roles["ada", "analyst"].state == "proposed"
        with pytest.raises(ForbiddenError, match="another person"):
            await town.people.grant("ada", "analyst", by="root")
        with pytest.raises(ForbiddenError, match="another person"):
            await town.people.grant("ada", "analyst", by="Root")  # one person, however it is typed
        granted = await town.people.grant("ada", "analyst", by="grace")
        assert (granted.state, granted.proposed_by, granted.by) == ("granted", "root", "grace")
        assert [(it.kind, it.by, it.subject) for it in town.acts] == [
            ("role.proposed", "person:root", "ada"),
            ("role.granted", "person:grace", "ada"),
        ]

    asyncio.run(run())


def test_nobody_proposes_or_grants_a_role_to_themselves() -> None:
    async def run() -> None:
        town = await settled("ada")
        with pytest.raises(ForbiddenError, match="themselves"):
            await town.people.grant("ada", "analyst", by="ada")
        await town.people.grant("ada", "analyst", by="root")
        with pytest.raises(ForbiddenError, match="themselves"):
            await town.people.grant("ada", "analyst", by="ADA")
        assert (await town.person("ada")).granted == frozenset()  # type: ignore[union-attr]

    asyncio.run(run())


def test_only_the_first_two_administrators_are_granted_by_one_person_and_the_record_says_so() -> None:
    async def run() -> None:
        town = Town()
        await town.people.add("root", password=None, by="root")
        await town.people.grant("root", "admin", by="root")
        assert json.loads(town.acts[-1].record)["first_of_all"] is True
        for it in ("second", "third"):
            await town.people.add(it, password=None, by="root")
        with pytest.raises(ForbiddenError, match="themselves"):
            await town.people.grant("second", "admin", by="second")
        assert (await town.people.grant("second", "admin", by="root")).state == "granted"
        assert (await town.people.grant("third", "admin", by="root")).state == "proposed"
        # Who takes the other's role away, or disables them, is not alone again by that.
        await town.people.revoke("second", "admin", by="root")
        await town.people.add("fourth", password=None, by="root")
        assert (await town.people.grant("fourth", "admin", by="root")).state == "proposed"
        (root, *_) = (it for it in access_of(await town.everybody(), at=NOON) if it.person.user.user_id == "root")
        assert "was granted admin by root alone" in root.concerns

    asyncio.run(run())


@pytest.mark.parametrize("pair", sorted(map(sorted, permissions().conflicts)))
def test_a_role_that_does_not_go_with_another_is_refused_even_while_it_waits(pair: list[str]) -> None:
    async def run() -> None:
        for first, second in (pair, reversed(pair)):
            town = await settled("ada")
            await town.people.grant("ada", first, by="root")
            with pytest.raises(ClashError, match="not held together"):
                await town.people.grant("ada", second, by="grace")
            await town.people.revoke("ada", first, by="root")
            await town.people.grant("ada", second, by="root")

    asyncio.run(run())


def test_roles_that_came_together_by_a_race_open_nothing_and_are_reviewed() -> None:
    """Two processes grant at once, each without the other's role: what they made is refused when it is used."""

    async def run() -> None:
        town = await settled("ada")
        for role in ("model_developer", "validator"):
            town.roles["ada", role] = UserRoleRow("ada", role, "granted", "root", "grace", NOON)
        found = next(it for it in access_of(await town.everybody(), at=NOON) if it.person.user.user_id == "ada")
        assert "may do nothing" in found.concerns[0]

    asyncio.run(run())


def test_what_is_no_role_or_nobodys_is_refused() -> None:
    async def run() -> None:
        town = await settled("ada")
        for role in ("chairman", SYSTEMS_ROLE, "", "Admin"):
            with pytest.raises(InvalidInputError):
                await town.people.grant("ada", role, by="root")
        with pytest.raises(NotFoundError):
            await town.people.grant("bob", "analyst", by="root")
        with pytest.raises(NotFoundError):
            await town.people.revoke("ada", "analyst", by="root")
        await town.people.disable("ada", by="root")
        with pytest.raises(NotFoundError):
            await town.people.grant("ada", "analyst", by="root")
        for nobody in ("", "a b", "x" * 191, "ada'", "ada\n", "-ada"):
            with pytest.raises(InvalidInputError):
                await town.people.add(nobody, password=None, by="root")
            with pytest.raises(InvalidInputError):
                await town.people.add("bob", password=None, by=nobody)

    asyncio.run(run())


def test_who_is_disabled_keeps_no_password_and_is_disabled_once_and_a_stranger_is_kept_out_by_name() -> None:
    async def scene() -> None:
        town = await settled()
        await town.people.add("ada", password=PASSWORD, by="root")
        town.now += timedelta(hours=1)
        assert await town.people.disable("ada", by="root") == UserRow("ada", "", NOON, town.now)
        with pytest.raises(NotFoundError):
            await town.people.disable("joe", by="root")
        assert await town.people.disable("joe", by="root", unknown=True) == UserRow("joe", "", town.now, town.now)
        for known in ("ada", "joe"):
            with pytest.raises(ClashError, match="was disabled before"):
                await town.people.disable(known, by="root", unknown=True)
        for user, by in (("no body", "root"), ("ann", "no body")):
            with pytest.raises(InvalidInputError):
                await town.people.disable(user, by=by, unknown=True)
        assert [it.kind for it in town.acts] == ["user.added", "user.disabled", "user.disabled"]
        for act in town.acts:
            (row,) = act.rows
            assert isinstance(row, UserRow)
            kept = {name: it for name, it in columns_of(row).items() if name != "password"}
            kept["password_sha256"] = row.password and sha256(row.password.encode()).hexdigest()
            assert kept.items() <= json.loads(act.record).items()

    asyncio.run(scene())


def test_of_two_administrators_who_stay_away_the_one_who_was_there_last_is_left() -> None:
    async def scene() -> None:
        town = await settled()
        for user in ("ada", "zoe", "mia", "max"):
            await town.people.add(user, password=PASSWORD, by="root")
        for user, days in (("root", 9), ("ada", 8), ("zoe", 7), ("mia", 3), ("max", 9)):
            town.users[user] = replace(town.users[user], password=PASSWORD, created_at=NOON - timedelta(days=days))
        town.roles["ada", "admin"] = replace(town.roles["root", "admin"], user_id="ada")
        done = await town.people.disable_stale(await town.everybody(), timedelta(days=3), by="max")
        assert [it.user_id for it in done] == ["root", "zoe"]  # mia for three days, and no longer
        assert {(it.password, it.disabled_at) for it in done} == {("", NOON)}
        assert town.users["ada"].disabled_at is None

    asyncio.run(scene())


def test_one_role_is_taken_away_once_and_no_other_and_is_proposed_anew() -> None:
    async def scene() -> None:
        town = await settled("ada", "bo")
        for role, by in product(("auditor", "validator"), ("root", "bo")):
            await town.people.grant("ada", role, by=by)
        town.now += timedelta(hours=1)
        taken = await town.people.revoke("ada", "validator", by="bo")
        assert taken == UserRoleRow("ada", "validator", "revoked", "root", "bo", town.now)
        assert town.roles["ada", "auditor"].state == "granted"
        for user, role in (("ada", "validator"), ("bo", "auditor")):
            with pytest.raises(NotFoundError, match=f"has no role {role}"):
                await town.people.revoke(user, role, by="root")
        assert (await town.people.grant("ada", "validator", by="root")).state == "proposed"
        assert (await town.people.revoke("ada", "validator", by="root")).state == "revoked"
        for act in town.acts:  # what the verifier of the log holds rows against
            (row,) = act.rows
            columns = columns_of(row)
            del columns["beside"]  # which no column keeps
            assert columns.items() <= json.loads(act.record).items()

    asyncio.run(scene())


def test_nobody_is_called_by_a_card_number_nor_is_it_repeated() -> None:
    async def scene() -> None:
        town = await settled()
        for added in (
            town.people.add("4111111111111111", password=None, by="root"),
            town.people.grant("4111111111111111", "auditor", by="root"),
        ):
            with pytest.raises(InvalidInputError) as refused:
                await added
            assert "4111" not in str(refused.value)
        assert town.acts == []

    asyncio.run(scene())


def test_a_role_that_somebody_has_is_not_proposed_again() -> None:
    async def scene() -> None:
        town = await settled()
        with pytest.raises(ClashError, match="has the role"):
            await town.people.grant("root", "admin", by="root")
        assert town.acts == []

    asyncio.run(scene())


def test_a_user_id_is_never_given_to_another_person() -> None:
    async def run() -> None:
        town = await settled("ada")
        await town.people.disable("ada", by="root")
        with pytest.raises(ClashError):
            await town.people.add("ada", password=PASSWORD, by="root")
        with pytest.raises(ClashError):
            await town.people.disable("ada", by="root")

    asyncio.run(run())


@pytest.mark.parametrize("again", ["Ada@bank.example", "ada+2@bank.example", "mailto:ada@bank.example"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_second_account_of_one_person_is_refused_and_the_first_is_not_named(again: str, *, gone: bool) -> None:
    async def run() -> None:
        town = await settled("ada@bank.example")
        if gone:
            await town.people.disable("ada@bank.example", by="root")
        before = len(town.acts)
        with pytest.raises(ClashError) as refused:
            await town.people.add(again, password=PASSWORD, by="root")
        assert "a person has one account" in refused.value.message
        assert "ada@bank.example" not in refused.value.message.replace(again, "")
        assert len(town.acts) == before
        await town.people.add("ada@other.example", password=PASSWORD, by="root")

    asyncio.run(run())


def test_two_accounts_that_one_person_has_from_before_are_no_two_people_and_are_reviewed() -> None:
    async def run() -> None:
        town = await settled("ada@bank.example", "lin")
        town.users["ada+2@bank.example"] = UserRow("ada+2@bank.example", "", NOON, None)
        for name in ("ada@bank.example", "ada+2@bank.example"):
            await town.people.grant(name, "analyst", by="root")
            await town.people.grant(name, "analyst", by="grace")
        with pytest.raises(ForbiddenError, match="to themselves"):
            await town.people.grant("ada@bank.example", "operator", by="ada+2@bank.example")
        await town.people.grant("lin", "operator", by="ada@bank.example")
        with pytest.raises(ForbiddenError, match="waits for another person"):
            await town.people.grant("lin", "operator", by="ada+2@bank.example")
        with pytest.raises(ClashError, match="not held together"):
            await town.people.grant("ada+2@bank.example", "auditor", by="root")
        told = {it.person.user.user_id: it.concerns for it in access_of(await town.everybody(), at=NOON)}
        assert told["ada+2@bank.example"] == (
            "is one person with ada@bank.example, and neither agrees to what the other does",
        )
        assert "is one person with ada+2@bank.example" in told["ada@bank.example"][0]
        assert "one person with" not in str([told["lin"], told["root"]])
        await town.people.disable("ada+2@bank.example", by="root")
        assert "one person with" not in str(access_of(await town.everybody(), at=NOON))

    asyncio.run(run())


def test_the_record_of_a_person_holds_no_password_and_nothing_to_guess_it_by() -> None:
    async def run() -> None:
        town = Town()
        await town.people.add("ada", password=PASSWORD, by="root")
        said = json.loads(town.acts[-1].record)
        assert PASSWORD not in town.acts[-1].record.decode()
        assert "argon2" not in town.acts[-1].record.decode()
        assert said["password_sha256"] == sha256(town.users["ada"].password.encode()).hexdigest()

    asyncio.run(run())


def test_a_review_names_stale_accounts_proposals_and_who_has_no_role() -> None:
    async def run() -> None:
        town = await settled()
        await town.people.add("idle", password=PASSWORD, by="root")
        await town.people.grant("idle", "analyst", by="root")
        await town.people.add("gone", password=None, by="root")
        await town.people.grant("gone", "auditor", by="root")
        await town.people.grant("gone", "auditor", by="grace")
        await town.people.disable("gone", by="root")
        told = {
            it.person.user.user_id: it.concerns
            for it in access_of(await town.everybody(), at=NOON + STALE_AFTER + timedelta(days=1))
        }
        assert told["idle"] == (
            "has not signed in for 91 days", "waits for analyst, which root proposed", "has no role",
        )  # fmt: skip
        assert told["gone"] == ("is disabled, and still has roles",)
        await town.people.signed_in("idle")
        assert "has not signed in" not in str(access_of(await town.everybody(), at=NOON + timedelta(days=1)))

    asyncio.run(run())


# Passwords


@settings(max_examples=5, deadline=None)
@given(st.text(min_size=LEAST_LENGTH, max_size=40).filter(lambda it: len(set(it)) > 4))
def test_a_password_is_known_again_and_another_is_not(password: str) -> None:
    try:
        kept = hash_password(password, user_id="ada-of-the-tests")
    except InvalidInputError:
        return
    assert is_password(password, kept)
    assert not is_password(password + "x", kept)
    assert kept != hash_password(password, user_id="ada-of-the-tests")


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 14, "x" * 300, "a" * 20, "adaadaadaadaadaada", "abababababababab"]
)
def test_a_password_that_is_short_or_says_little_is_refused(password: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        hash_password(password, user_id="ada")
    assert not password or password not in str(caught.value)


def test_a_password_is_the_same_from_another_keyboard_and_half_a_character_breaks_nothing() -> None:
    kept = hash_password("cafe\u0301 on the quiet harbour", user_id="ada")
    assert is_password("caf\u00e9 on the quiet harbour", kept)
    assert not is_password("\ud800" * 20, kept)


def test_passwords_are_kept_as_argon2id_and_nobodys_costs_the_same() -> None:
    kept = hash_password(PASSWORD, user_id="ada")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords._NOBODYS.rpartition("$")[0].rpartition("$")[0] == kept.rpartition("$")[0].rpartition("$")[0]
    assert not passwords._HASHER.check_needs_rehash(passwords._NOBODYS)


# Signing in


@dataclass
class Desk:
    """Where people sign in, with a clock that a test moves."""

    town: Town
    ticks: float = 1000.0

    def __post_init__(self) -> None:
        self.inner = SignIn(self.town, self.town.people, KEY, now=lambda: self.town.now, monotonic=lambda: self.ticks)

    async def ask(self, user: str, password: str, peer: str = "192.0.2.7") -> Any:
        return await self.inner.sign_in(json.dumps({"user": user, "password": password}).encode(), peer=peer)


async def desk() -> Desk:
    town = await settled()
    await town.people.add("ada", password=PASSWORD, by="root")
    await town.people.add("gone", password=PASSWORD, by="root")
    await town.people.disable("gone", by="root")
    return Desk(town)


def test_who_knows_the_password_gets_a_token_that_opens_with_their_roles() -> None:
    async def run() -> None:
        it = await desk()
        await it.town.people.grant("ada", "analyst", by="root")
        await it.town.people.grant("ada", "analyst", by="grace")
        signed = await it.ask("ada", PASSWORD)
        assert signed.to_plain() == {"access_token": signed.token, "token_type": "Bearer", "expires_in": 600}
        assert PASSWORD not in repr(it.town.acts)
        assert it.town.acts[-1].kind == "user.signed"
        tokens = LocalTokens(KEY.verifier, it.town, now=lambda: it.town.now)
        assert (await tokens.caller(signed.token)).roles == {"analyst"}

    asyncio.run(run())


def test_who_did_not_sign_in_for_long_is_disabled_but_never_who_acts_nor_the_last_administrator() -> None:
    async def main() -> None:
        town = Town()
        for name in ("ada", "grace", "joan", "here"):
            await town.people.add(name, password=PASSWORD, by="root")
        await town.people.add("elsewhere", password=None, by="root")
        for name in ("ada", "grace"):
            await town.people.grant(name, "admin", by="root" if name == "ada" else "ada")
        town.now += timedelta(days=60)
        await town.people.signed_in("here")
        town.now += timedelta(days=31)
        rows = await town.people.disable_stale(await town.everybody(), timedelta(days=90), by="ADA")
        assert [it.user_id for it in rows] == ["grace", "joan"]
        assert [(it.kind, it.subject) for it in town.acts[-2:]] == [
            ("user.disabled", "grace"),
            ("user.disabled", "joan"),
        ]
        assert json.loads(town.acts[-1].record)["unseen_days"] == 91
        assert not any(row.password for row in rows)
        assert await town.people.disable_stale(await town.everybody(), timedelta(days=30), by="root") != ()
        assert town.users["ada"].disabled_at is None  # the last administrator
        assert town.users["elsewhere"].disabled_at is None
        assert await town.people.disable_stale(await town.everybody(), timedelta(days=1), by="root") == ()

    asyncio.run(main())


def test_unknown_disabled_and_wrong_read_the_same_after_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[bool] = []

    def counted(password: str, kept: str | None) -> bool:
        worked.append(True)
        return is_password(password, kept)

    monkeypatch.setattr(signing_in, "is_password", counted)

    async def run() -> None:
        it, told = await desk(), set()
        for user, password in (("nobody", PASSWORD), ("gone", PASSWORD), ("root", PASSWORD), ("ada", PASSWORD + "!")):
            with pytest.raises(UnauthenticatedError) as caught:
                await it.ask(user, password)
            told.add((str(caught.value), type(caught.value)))
        assert len(told) == 1
        assert len(worked) == 4
        assert "user.signed" not in {act.kind for act in it.town.acts}

    asyncio.run(run())


def test_guesses_at_one_person_are_limited_from_wherever_they_come() -> None:
    async def run() -> None:
        it = await desk()
        for at in range(5):
            with pytest.raises(UnauthenticatedError):
                await it.ask("ada", f"guess number {at} of many", peer=f"192.0.2.{at}")
        with pytest.raises(LimitedError) as caught:
            await it.ask("ada", PASSWORD, peer="198.51.100.1")
        assert 0 < caught.value.retry_after <= 60
        it.ticks += caught.value.retry_after
        await it.ask("ada", PASSWORD, peer="198.51.100.1")

    asyncio.run(run())


def test_a_name_of_nobody_is_limited_just_as_one_of_somebody() -> None:
    async def run() -> None:
        it = await desk()
        told: dict[str, list[type[Exception]]] = {"ada": [], "nobody": []}
        for user, kinds in told.items():
            for at in range(7):
                with pytest.raises((UnauthenticatedError, LimitedError)) as caught:
                    await it.ask(user, f"guess number {at} of many", peer=f"{user}-{at}")
                kinds.append(caught.type)
        assert told["ada"] == told["nobody"]
        assert told["ada"][-1] is LimitedError

    asyncio.run(run())


def test_a_network_that_stuffs_credentials_is_limited_with_the_whole_of_its_ipv6() -> None:
    async def run() -> None:
        it = await desk()
        for at in range(20):
            with pytest.raises(UnauthenticatedError):
                await it.ask(f"user-{at}", PASSWORD, peer=f"2001:db8:0:1::{at:x}")
        with pytest.raises(LimitedError):
            await it.ask("user-20", PASSWORD, peer="2001:db8:0:1::ffff")
        await it.ask("ada", PASSWORD, peer="2001:db8:0:2::1")

    asyncio.run(run())


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"[]",
            b"{}",
            b"x",
            b'{"user": "ada"}',
            b'{"user": "ada", "password": 7}',
            b'{"user": 1, "password": "x"}',
        ),
        b'{"user": "ada", "password": "x", "role": "admin"}',
        b'{"user": "ada", "user": "root", "password": "x"}',
        b'{"user": "ada", "password": ""}',
        b'{"user": "ada", "password": "%s"}' % (b"x" * 257),
        b'{"user": "a\\u0000", "password": "x"}',
        b'{"user": "\\ud800", "password": "x"}',
        b'{"user": "' + b"x" * 191 + b'", "password": "x"}',
    ],
)
def test_what_is_not_a_user_and_a_password_and_nothing_else_is_refused_and_never_repeated(body: bytes) -> None:
    async def run() -> None:
        it = await desk()
        with pytest.raises(InvalidInputError) as caught:
            await it.inner.sign_in(body, peer="")
        assert "ada" not in str(caught.value)
        assert isinstance(caught.value, ApplicationError | InvalidInputError)

    asyncio.run(run())


def test_a_user_is_refused_by_the_length_that_is_held() -> None:
    check_user_id("_" + "a" * 189)
    with pytest.raises(InvalidInputError, match="up to 190 letters"):
        check_user_id("_" + "a" * 190)
