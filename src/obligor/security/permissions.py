"""Who may do what: one table of permissions, which every door and every use case asks.

The table (``permissions.yaml``, beside this file) says for each role and for each scope of an API key which permissions come
with it and how far they go, which roles nobody holds together, which permissions ask for a second factor, and which permission
each route and call needs. It is read once, strictly; what it does not say is refused.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from itertools import combinations
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from obligor.core.errors import ForbiddenError, InvalidInputError
from obligor.core.faults import first_fault
from obligor.security.api_keys import SCOPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OPEN: Final = "open"
"""The permission of a route that anybody may ask."""
_MOST_KEPT: Final = 4096
_READS_ACTS: Final = "act.read"


class Holder(Protocol):
    """Whoever was let in, as far as permissions are concerned."""

    @property
    def scopes(self) -> frozenset[str]:
        """What an API key opens."""

    @property
    def roles(self) -> frozenset[str]:
        """What a person, or a system with a token, was made."""

    @property
    def strong(self) -> bool:
        """Whether a second factor was shown."""


class Visitor(Holder, Protocol):
    """Whoever was let in, and who they are where that is somebody in person."""

    @property
    def kind(self) -> Literal["client", "person"]:
        """Whether they are."""

    @property
    def subject(self) -> str:
        """The user id of a person."""


class Allowance(NamedTuple):
    """How far a permission goes."""

    own: bool = False
    """Only what the caller made, or what is assigned to them."""
    masked: bool = False
    """With personal fields masked."""
    second: bool = False
    """It is proposed, and done once another person, with the same permission, has agreed."""


class Permissions(BaseModel):
    """The whole table."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_: Literal["obligor/permissions/1"] = Field(alias="schema")
    permissions: dict[str, str]
    """What there is to be allowed, in words."""
    step_up: frozenset[str]
    """What asks for a second factor."""
    roles: dict[str, dict[str, Allowance]]
    conflicts: frozenset[frozenset[str]]
    """Pairs of roles that nobody holds together."""
    scopes: dict[str, dict[str, Allowance]]
    routes: dict[str, str]
    """The permission of each route of REST, by method and path."""
    calls: dict[str, str]
    """The permission of each call of gRPC, by name."""
    acts: dict[str, frozenset[str]]
    """The areas of acts that each role reads beside its own."""

    @field_validator("roles", "scopes", mode="before")
    @classmethod
    def _read(cls, said: object) -> object:
        if not isinstance(said, dict):
            return said
        return {name: {it: _allowance(how) for it, how in (held or {}).items()} for name, held in said.items()}

    @field_validator("step_up", mode="before")
    @classmethod
    def _set(cls, said: object) -> object:
        return frozenset(said) if isinstance(said, list) else said

    @field_validator("acts", mode="before")
    @classmethod
    def _areas(cls, said: object) -> object:
        return {name: frozenset(areas) for name, areas in said.items()} if isinstance(said, dict) else said

    @field_validator("conflicts", mode="before")
    @classmethod
    def _pairs(cls, said: object) -> object:
        return frozenset(map(frozenset, said)) if isinstance(said, list) else said

    @model_validator(mode="after")
    def _whole(self) -> Self:
        named = [it for held in (*self.roles.values(), *self.scopes.values()) for it in held]
        needed = [it for it in (*self.routes.values(), *self.calls.values()) if it != OPEN]
        for name in (*named, *needed, *self.step_up):
            if name not in self.permissions:
                raise ValueError(f"the permission {name} is not one of those listed")
        if self.scopes.keys() != set(SCOPES):
            raise ValueError(f"wanted the scopes {', '.join(SCOPES)}")
        for scope, held in self.scopes.items():
            if wrong := self.step_up.intersection(held) or {name for name, how in held.items() if how.second}:
                raise ValueError(f"the scope {scope} gives {min(wrong)}, which only a person may do")
        for role in self.acts:
            if not self.roles.get(role, {}).get(_READS_ACTS, Allowance()).own:
                raise ValueError(f"acts of {role}: wanted a role that reads its own ({_READS_ACTS}: own)")
        for pair in self.conflicts:
            if len(pair) != 2 or not pair <= self.roles.keys():  # noqa: PLR2004  a pair
                raise ValueError("a conflict: wanted two of the roles listed")
        return self

    def conflict(self, roles: Iterable[str]) -> tuple[str, str] | None:
        """Give two roles that nobody holds together, where there are such."""
        for one, other in combinations(sorted(roles), 2):
            if frozenset((one, other)) in self.conflicts:
                return one, other
        return None

    def held(self, *, roles: frozenset[str], scopes: frozenset[str]) -> Mapping[str, Allowance]:
        """Give what comes with roles and scopes together, each as far as the one goes that goes farthest."""
        found: dict[str, Allowance] = {}
        given = [self.roles[it] for it in roles if it in self.roles]
        given += [self.scopes[it] for it in scopes if it in self.scopes]
        for name, how in (item for held in given for item in held.items()):
            found[name] = min(found.get(name, how), how, key=lambda it: (sum(it), it))
        return found

    def roles_with(self, permission: str) -> frozenset[str]:
        """Name the roles that give a permission."""
        return frozenset(name for name, held in self.roles.items() if permission in held)

    def who(self, permission: str) -> str:
        """Say which scopes and roles give a permission."""
        scopes = [name for name, held in self.scopes.items() if permission in held]
        roles = [name for name in self.roles if name in self.roles_with(permission)]
        key = [f"an API key with the scope {' or '.join(scopes)}"] if scopes else []
        return ", or ".join([*key, f"the role {' or '.join(roles)}"])


def allow(caller: Holder, permission: str) -> Allowance:
    """Tell how far a caller's permission goes.

    Raises
    ------
    ForbiddenError
        Where the caller has none, holds roles that nobody holds together, or has yet to show a second factor.
    """
    how = _known(caller.roles, caller.scopes, permission, strong=caller.strong)
    if how is None:
        raise _refusal(caller, permission)
    return how


def allow_person(caller: Visitor, permission: str) -> str:
    """Name the person who acts: what people do, no key and no system does.

    Raises
    ------
    ForbiddenError
        Where the caller has not the permission, or is nobody in person.
    """
    allow(caller, permission)
    if caller.kind != "person":
        raise ForbiddenError("this is for a person, who signs in")
    return caller.subject


def may(caller: Holder, permission: str) -> bool:
    """Tell whether a caller has a permission."""
    try:
        allow(caller, permission)
    except ForbiddenError:
        return False
    return True


def areas_of(caller: Holder) -> frozenset[str] | None:
    """Give the areas of the acts of the log that a caller reads beside their own; none: every act.

    Raises
    ------
    ForbiddenError
        Where they read not even their own.
    """
    if not allow(caller, _READS_ACTS).own:
        return None
    return frozenset[str]().union(*(permissions().acts.get(it, frozenset()) for it in caller.roles))


@cache
def permissions() -> Permissions:
    """Give the table, read once."""
    return read_permissions((files("obligor.security") / "permissions.yaml").read_text("utf-8"))


def read_permissions(text: str) -> Permissions:
    """Read a table from YAML.

    Raises
    ------
    InvalidInputError
        Where it says something twice, or something that is not known.
    """
    try:
        return Permissions.model_validate(yaml.load(text, _Strict))  # noqa: S506  a safe loader of ours
    except yaml.YAMLError as fault:
        raise InvalidInputError(f"permissions: {fault}") from None
    except ValidationError as fault:
        raise InvalidInputError(f"permissions: {first_fault(fault)}") from None


@lru_cache(maxsize=_MOST_KEPT)
def _known(roles: frozenset[str], scopes: frozenset[str], permission: str, *, strong: bool) -> Allowance | None:
    """Give how far a permission goes; None where it is refused."""
    table = permissions()
    if table.conflict(roles) is not None or (permission in table.step_up and not strong):
        return None
    return table.held(roles=roles, scopes=scopes).get(permission)


def _refusal(caller: Holder, permission: str) -> ForbiddenError:
    table = permissions()
    if conflict := table.conflict(caller.roles):
        return ForbiddenError(f"the roles {conflict[0]} and {conflict[1]} are held together, which nobody may")
    if permission in table.held(roles=caller.roles, scopes=caller.scopes):
        return ForbiddenError("this needs a second factor; sign in with it and send the request again")
    return ForbiddenError(f"this needs {table.who(permission)}")


def _allowance(said: object) -> Allowance:
    if said == "allowed":
        return Allowance()
    conditions = said if isinstance(said, list) else [said]
    if not conditions or not set(conditions) <= set(Allowance._fields) or len(set(conditions)) != len(conditions):
        raise ValueError(f"got {said!r}; wanted allowed, or some of {', '.join(Allowance._fields)}")
    return Allowance(**dict.fromkeys(conditions, True))


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice, and aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias is not allowed; write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001, FBT002  as in PyYAML
        names = [key.value for key, _ in node.value]
        if len(set(names)) != len(names):
            raise yaml.YAMLError(f"{next(it for it in names if names.count(it) > 1)} stands twice")
        return super().construct_mapping(node, deep=deep)
