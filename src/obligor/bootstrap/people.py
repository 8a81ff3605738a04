"""Adds people, gives them roles, and reviews who may do what; opens the source of people of a running service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from obligor.bootstrap.acting import acting, appointing, with_reader
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.proposals import Proposed, open_proposals, proposed
from obligor.core.errors import InvalidInputError
from obligor.core.spreadsheet import spreadsheet
from obligor.governance.law.packs import named_packs
from obligor.settings import is_production, read_law_settings, read_provider_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from obligor.bootstrap.store import Store
    from obligor.serving.administering import Administration
    from obligor.serving.people.access import Person, Reviewed
    from obligor.serving.people.proposals import Proposals
    from obligor.serving.people.proving import Proofs
    from obligor.serving.people.roles import People
    from obligor.serving.people.signing_in import SignIn
    from obligor.serving.people.tokens import Tokens
    from obligor.serving.rows import UserRoleRow

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a service has its people from."""

    tokens: Tokens
    sign_in: SignIn | None
    """None where people sign in at an identity provider."""
    proofs: Proofs | None
    """None where they do not."""


def open_identity(store: Store, environ: Mapping[str, str]) -> Identity:
    """Take tokens of the identity provider that the environment names, or people of the store where it names none.

    Raises
    ------
    InvalidInputError
        Where what it says of the provider is no issuer, no audience or no address to fetch keys from, or no second
        factor where an active rule pack asks for one.
    """
    from obligor.serving.people.tokens import LocalTokens, ProviderTokens

    now, production = store.sources.now, is_production(environ)
    provider = read_provider_settings(environ)
    asking = [it.id for it in named_packs(read_law_settings(environ).packs) if it.second_factor]
    if provider is None:
        from obligor.serving.people.roles import People
        from obligor.serving.people.signing_in import SignIn

        tokens = LocalTokens(
            store.key.verifier, store.people, now=now, production=production, second_factor=bool(asking)
        )
        people = People(store.people, store.recorder, store.sources)
        return Identity(tokens, SignIn(store.people, people, store.key, now=now), None)
    if asking and not provider.strong:
        raise InvalidInputError(
            f"OBLIGOR_OIDC_STRONG_ACR: {asking[0]} asks everybody for a second factor; wanted which acr tell of one"
        )
    from obligor.adapters.identity.key_set import HttpKeySource
    from obligor.security.tokens import Issuer
    from obligor.serving.people.proving import Proofs

    issuer = Issuer(
        provider.issuer,
        provider.audience,
        types=provider.types,
        roles_claim=provider.roles_claim,
        strong=provider.strong,
        most_lifetime_s=60 * provider.most_minutes,
        bound=provider.bound,
    )
    source = HttpKeySource(provider.key_set_url, production=production)
    proofs = Proofs(now=now, origin=provider.origin)
    return Identity(ProviderTokens(issuer, source, store.people, now=now, second_factor=bool(asking)), None, proofs)


def open_administration(store: Store, proposals: Proposals) -> Administration:
    """Build what people do to the service over a door."""
    from obligor.serving.administering import Administration
    from obligor.serving.releases.profile_changes import Changing

    changing = Changing(store.archive, store.changes, store.recorder, store.key, store.sources)
    return Administration(
        store.people, store.archive, store.archive, store.recorder, store.sources, changing, proposals
    )


@dataclass(frozen=True, slots=True)
class Users:
    """People, by user id."""

    people: tuple[Person, ...]
    nobody: str = "There is nobody yet; obligor users add USER adds somebody."

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.people.access import plain_person

        return {"users": [plain_person(it) for it in self.people]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        if not self.people:
            return [self.nobody]
        width = max(len(it.user.user_id) for it in self.people)
        return [
            f"{it.user.user_id:<{width}}  {_state(it):<8}  {', '.join(sorted(it.granted)) or 'no role'}"
            for it in self.people
        ]


@dataclass(frozen=True, slots=True)
class User:
    """One person, after something was done."""

    person: Person
    said: str

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.people.access import plain_person

        return plain_person(self.person)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [self.said]


@dataclass(frozen=True, slots=True)
class Role:
    """A role of a person, after something was done."""

    row: UserRoleRow

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.people.access import plain_role

        return {"user": self.row.user_id} | plain_role(self.row)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        it = self.row
        if it.state == "proposed":
            return [f"{it.by} proposed {it.role} for {it.user_id}; another person grants it by the same command"]
        return [f"{it.role} of {it.user_id} is {it.state}"]


@dataclass(frozen=True, slots=True)
class AccessReview:
    """Who may do what, and what somebody should look at."""

    reviewed: tuple[Reviewed, ...]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.people.access import plain_reviewed

        return {"users": [plain_reviewed(it) for it in self.reviewed]}

    def to_csv(self) -> str:
        """Write it as a table for a spreadsheet: one row for each person."""
        from obligor.serving.people.access import may_of, plain_person

        header = ("user", "state", "signs_in", "created_at", "seen_at", "disabled_at", "roles", "may", "concerns")
        rows = []
        for it in self.reviewed:
            said = plain_person(it.person)
            lists = (sorted(it.person.granted), may_of(it.person), it.concerns)
            rows.append([*(said[name] for name in header[:6]), *("; ".join(each) for each in lists)])
        return spreadsheet(header, rows)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        from obligor.serving.people.access import may_of

        told = []
        for it in self.reviewed:
            roles = ", ".join(sorted(it.person.granted)) or "no role"
            told.append(f"{it.person.user.user_id}  {_state(it.person)}  {roles}")
            told += [f"    may {permission}" for permission in may_of(it.person)]
            told += [f"    LOOK  {concern}" for concern in it.concerns]
        return told or ["There is nobody yet; obligor users add USER adds somebody."]


def add_user(user_id: str, *, password: str | None, because: str = "") -> User | Proposed:
    """Let somebody sign in, or propose to; the password that counts is the one given once another person has agreed."""
    from obligor.serving.people.roles import People, order_to_add
    from obligor.serving.rows import ProposalRow

    async def added(store: Store) -> User | Proposed:
        by = await acting(store, "user.manage")
        done = await (await open_proposals(store)).together(
            order_to_add(user_id, password=password, because=because),
            lambda recorder: People(store.people, recorder, store.sources).add(user_id, password=password, by=by),
            by=by,
        )
        if isinstance(done, ProposalRow):
            return proposed(done)
        where = "with a password" if password else "at the identity provider"
        return await _told(store, user_id, f"user {user_id} may sign in {where}, and has no role yet")

    return with_anchored_store(added)


def disable_user(user_id: str, *, unknown: bool) -> User:
    """Let somebody in no more; ``unknown`` where the store may not know them, who sign in elsewhere."""

    async def disabled(people: People, store: Store) -> User:
        await people.disable(user_id, by=await acting(store, "user.disable"), unknown=unknown)
        return await _told(store, user_id, f"user {user_id} is let in no more")

    return _with_people(disabled)


def disable_stale(days: int) -> Users:
    """Let those in no more who did not sign in for so many days."""

    async def disabled(people: People, store: Store) -> Users:
        by = await acting(store, "user.disable")
        rows = await people.disable_stale(await store.people.people(), timedelta(days=days), by=by)
        gone = {row.user_id for row in rows}
        return Users(tuple(it for it in await store.people.people() if it.user.user_id in gone), "nobody is stale")

    return _with_people(disabled)


def list_users() -> Users:
    """Give everybody."""

    async def listed(store: Store) -> Users:
        return Users(await store.people.people())

    return with_reader(listed, "user.read")


def grant_role(user_id: str, role: str) -> Role:
    """Propose a role, or grant it where another person proposed it."""

    async def granted(people: People, store: Store) -> Role:
        by = await (appointing(store) if role == "admin" else acting(store, "role.grant"))
        return Role(await people.grant(user_id, role, by=by))

    return _with_people(granted)


def revoke_role(user_id: str, role: str) -> Role:
    """Take a role away."""

    async def revoked(people: People, store: Store) -> Role:
        return Role(await people.revoke(user_id, role, by=await acting(store, "role.revoke")))

    return _with_people(revoked)


def review_access() -> AccessReview:
    """Review who may do what."""
    from obligor.serving.people.access import access_of

    async def reviewed(store: Store) -> AccessReview:
        return AccessReview(access_of(await store.people.people(), at=store.sources.now()))

    return with_reader(reviewed, "user.read")


def _state(person: Person) -> str:
    return "enabled" if person.user.disabled_at is None else "disabled"


async def _told(store: Store, user_id: str, said: str) -> User:
    person = await store.people.person(user_id)
    if person is None:
        raise AssertionError
    return User(person, said)


def _with_people(work: Callable[[People, Store], Awaitable[Done]]) -> Done:
    async def done(store: Store) -> Done:
        from obligor.serving.people.roles import People

        return await work(People(store.people, store.recorder, store.sources), store)

    return with_anchored_store(done)
