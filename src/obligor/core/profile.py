"""The compliance profile: which checks outside the score must hold before an application is approved, and from when to when.

A profile names every gate and its state. *Off*: the gate is not asked. *Monitor*: its result is recorded, and changes nothing.
*Enforce*: no application is approved unless the gate says `pass`. A profile is in force from one instant to another; a
service that has none in force decides nothing. Its hash is kept with every decision.

For some applications other gates may hold: those of a scope, such as a product in a country (``scopes``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, Self, get_args

from pydantic import AfterValidator, AwareDatetime, Field, model_serializer, model_validator

from obligor.core.errors import ProfileError, UnavailableError
from obligor.core.strict_json import Artefact, StrictModel, read_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import SerializerFunctionWrapHandler

_MOST_BYTES = 1 << 20
_MOST_SCOPES = 32

GateName = Literal["kyc", "aml", "pci", "pep"]
GateState = Literal["off", "monitor", "enforce"]
GateResult = Literal["pass", "fail", "pending", "not_evaluated"]
GATES: Final[tuple[GateName, ...]] = get_args(GateName)
SCREENING: Final[tuple[GateName, ...]] = ("aml", "pep")
"""The gates that compare who applies with a list of names; what they say is told to nobody outside."""
STATES: Final[tuple[GateState, ...]] = get_args(GateState)
"""From the least strict to the strictest."""
OTHERWISE: Final = "otherwise"
"""What stands at the top of a profile, among its scopes."""
RESULTS: Final[tuple[GateResult, ...]] = get_args(GateResult)

Instant = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]


_Said = Annotated[str, Field(pattern=r"^\S(?:[^\x00-\x1f\x7f]{0,198}\S)?$")]


def _is_none(it: object) -> bool:
    return it is None


class Elsewhere(StrictModel):
    """Who does instead what a gate that is off does not."""

    system: _Said
    """The system that does: its name, for who looks for it."""
    reference: _Said
    """Where that is laid down: a contract, a policy, a page of the handbook."""


class Gate(StrictModel):
    """One check outside the score."""

    state: GateState
    """`off`: not asked; `monitor`: recorded, without effect; `enforce`: nobody is approved unless it says `pass`."""
    on_fail: Literal["hold", "refer", "decline"] = "hold"
    """What comes of an application that an enforced gate says has failed; one that it has not yet judged is held."""
    reason: str = ""
    """The text that an applicant reads where it declines them."""
    elsewhere: Elsewhere | None = None
    """Of `aml` or `pep` where it is off: who screens instead, which a new profile must say of `aml`."""

    @model_validator(mode="after")
    def _decline_has_a_reason(self) -> Self:
        if self.on_fail == "decline" and not self.reason.strip():
            raise ProfileError("profile: a gate that declines needs a reason, which the applicant reads")
        return self

    @model_validator(mode="after")
    def _is_asked_here_or_elsewhere(self) -> Self:
        if self.elsewhere is not None and self.state != "off":
            raise ProfileError(f"profile: elsewhere: wanted none of a gate on {self.state}, which is asked here")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not said elsewhere, so that a profile from before it could be keeps its hash."""
        return {name: it for name, it in write(self).items() if name != "elsewhere" or it is not None}


class Gates(StrictModel):
    """Every gate that there is: a profile that leaves one out is refused, not taken for off."""

    kyc: Gate
    """Know your customer: who applies is who they say."""
    aml: Gate
    """Anti-money-laundering: sanctions and watch lists."""
    pci: Gate
    """Payment cards: whether and how numbers of cards may enter."""
    pep: Gate | None = None
    """Politically exposed persons, whom a person looks at before they are approved; one from before it could be has it off."""

    @model_validator(mode="after")
    def _only_screening_is_done_elsewhere(self) -> Self:
        if self.kyc.elsewhere is not None or self.pci.elsewhere is not None:
            raise ProfileError("profile: elsewhere: wanted of the gates aml and pep alone")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a gate that is not named, so that a profile from before it could be keeps its hash."""
        return {name: it for name, it in write(self).items() if it is not None}


class ScopeGates(StrictModel):
    """The gates that a scope has otherwise; one that it does not name is as at the top."""

    kyc: Gate | None = Field(default=None, exclude_if=_is_none)
    aml: Gate | None = Field(default=None, exclude_if=_is_none)
    pci: Gate | None = Field(default=None, exclude_if=_is_none)
    """None: numbers of cards are looked for before an application is read."""
    pep: Gate | None = Field(default=None, exclude_if=_is_none)

    @model_validator(mode="after")
    def _may_be_told_apart(self) -> Self:
        if self.pci is not None:
            raise ProfileError(
                "profile: scopes: gates.pci: wanted none; numbers of cards are looked for before an application is read"
            )
        if self.kyc is not None and self.kyc.elsewhere is not None:
            raise ProfileError("profile: scopes: elsewhere: wanted of the gates aml and pep alone")
        return self


class Scope(StrictModel):
    """Some applications, such as those for a product in a country, and the gates that hold for them."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    """What it is called, in records and for people."""
    when: str
    """A condition in the language of features, of fields compared with values: `product = 'card' AND country = 'FR'`."""
    gates: ScopeGates
    """The gates that hold instead of those at the top."""


class Profile(Artefact):
    """A version of a lender's compliance toggles."""

    schema_: Literal["obligor/profile/1"] = Field(alias="schema", default="obligor/profile/1")
    """The version of this format."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    """What it is called: lower-case letters, digits, dots and dashes."""
    version: Annotated[int, Field(ge=1)]
    """Its number among the versions of this name."""
    gates: Gates
    """Every gate with its state."""
    scopes: Annotated[tuple[Scope, ...], Field(max_length=_MOST_SCOPES, exclude_if=lambda it: not it)] = ()
    """Applications for which other gates hold: the first that fits counts, and where none does, what stands at the top."""
    effective_from: Instant
    """The instant from which it is in force, with its offset from UTC."""
    expires_at: Instant | None = None
    """The instant from which it is no longer; none: until another takes its place."""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.expires_at is not None and self.expires_at <= self.effective_from:
            raise ProfileError("profile: expires_at: wanted an instant after effective_from")
        return self

    @model_validator(mode="after")
    def _tells_scopes_apart(self) -> Self:
        names = [OTHERWISE, *(it.name for it in self.scopes)]
        for name in names:
            if names.count(name) > 1:
                raise ProfileError(f"profile: scopes: the name '{name}' is that of another; wanted one for each")
        return self

    @cached_property
    def parts(self) -> Mapping[str, Profile]:
        """What may hold, each as a profile without scopes: by the name of its scope, and last what stands at the top."""
        return MappingProxyType({it.name: self._part(it) for it in self.scopes} | {OTHERWISE: self._part()})

    def _part(self, scope: Scope | None = None) -> Profile:
        said: dict[str, Any] = {} if scope is None else {name: it for name, it in scope.gates if it is not None}
        return self.model_copy(update={"gates": self.gates.model_copy(update=said), "scopes": ()})

    @cached_property
    def unasked(self) -> Mapping[GateName, GateRecord]:
        """What a decision keeps of the gates where none was asked."""
        named = (name for name in GATES if getattr(self.gates, name) is not None)
        return MappingProxyType({name: RECORDS[self.gate(name).state, "not_evaluated"] for name in named})

    @cached_property
    def asked(self) -> tuple[GateName, ...]:
        """The gates that are not off, in any of its scopes."""
        return tuple(name for name in GATES if any(it.gate(name).state != "off" for it in self.parts.values()))

    @cached_property
    def enforces(self) -> bool:
        """Whether any gate is enforced."""
        return any(self.gate(name).state == "enforce" for name in GATES)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Give a copy; what was worked out of this one is worked out anew, which pydantic would copy as it is."""
        made = super().model_copy(update=update, deep=deep)
        for name in ("asked", "enforces", "parts", "unasked"):
            made.__dict__.pop(name, None)
        return made

    def gate(self, name: GateName) -> Gate:
        """Give a gate by its name."""
        gate: Gate | None = getattr(self.gates, name)
        return _OFF if gate is None else gate


def parse_profile(data: bytes) -> Profile:
    """Read a profile from the bytes of its file.

    Raises
    ------
    ProfileError
        Where it is not JSON, says something twice, lacks a gate, knows another, or contradicts itself; or where it would
        decline for a list, and so tell of it.
    """
    profile = read_model(data, Profile, what="profile", error=ProfileError, most=_MOST_BYTES)
    for gates, it in _every_gates(profile):
        if it.gates.aml.on_fail == "decline":
            raise ProfileError(f"profile: {gates}.aml.on_fail: wanted hold or refer; a decline would tell of the list")
        pep = it.gate("pep")
        if pep.state != "off" and pep.on_fail != "refer":
            raise ProfileError(f"profile: {gates}.pep.on_fail: wanted refer; who holds a public office may be approved")
    return profile


def parse_new_profile(data: bytes) -> Profile:
    """Read a profile that is to come into force: one that does not screen says who does, or nobody need ever have asked.

    Raises
    ------
    ProfileError
        As ``parse_profile`` does, or where `aml` is off and it does not say who screens.
    """
    profile = parse_profile(data)
    for gates, it in _every_gates(profile):
        if it.gates.aml.state == "off" and it.gates.aml.elsewhere is None:
            raise ProfileError(
                f"profile: {gates}.aml.elsewhere: wanted who screens instead, as aml is off",
                hint='"elsewhere": {"system": "...", "reference": "..."}',
            )
    return profile


def _every_gates(profile: Profile) -> Iterator[tuple[str, Profile]]:
    """Give what may hold, by where its gates stand: the top first, so that what a scope has from there is told of the top."""
    yield "gates", profile.parts[OTHERWISE]
    yield from ((f"scopes: '{it.name}': gates", profile.parts[it.name]) for it in profile.scopes)


def in_force(profile: Profile, at: datetime) -> Profile:
    """Give a profile back where it is in force at an instant.

    Raises
    ------
    UnavailableError
        Where it is not yet, or no longer: nothing may be decided by it.
    """
    if at < profile.effective_from:
        raise UnavailableError(
            f"{_named(profile)} is not in force before {profile.effective_from.isoformat()}", told=True
        )
    if profile.expires_at is not None and at >= profile.expires_at:
        raise UnavailableError(
            f"{_named(profile)} is no longer in force since {profile.expires_at.isoformat()}",
            told=True,
            hint="activate a profile that is in force; until then nothing is decided",
        )
    return profile


class GateRecord(NamedTuple):
    """What a decision keeps of a gate."""

    state: GateState
    result: GateResult


def record_gates(profile: Profile, results: Mapping[str, str]) -> Mapping[GateName, GateRecord]:
    """Put the results of the gates beside their states: what is off was not evaluated, nor was what has no result.

    Raises
    ------
    ProfileError
        Where there is no gate, or no result, of such a name.
    """
    if not results:
        return profile.unasked
    for name, result in results.items():
        if name not in GATES:
            raise ProfileError(f"there is no gate {name[:80]!r}; wanted one of {', '.join(GATES)}")
        if result not in RESULTS:
            raise ProfileError(f"the gate '{name}' says {result[:80]!r}; wanted one of {', '.join(RESULTS)}")
    return {name: RECORDS[it.state, results.get(name, "not_evaluated")] for name, it in profile.unasked.items()}


def not_passed(gates: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    """Name the enforced gates in the record of a decision that did not say `pass`: nobody is approved against one."""
    return tuple(name for name, it in gates.items() if it.get("state") == "enforce" and it.get("result") != "pass")


RECORDS: Final[Mapping[tuple[str, str], GateRecord]] = {
    (state, result): GateRecord(state, "not_evaluated" if state == "off" else result)
    for state in get_args(GateState)
    for result in RESULTS
}
"""What a decision keeps of a gate, by its state and what it says."""


def _named(profile: Profile) -> str:
    return f"the compliance profile '{profile.name}' version {profile.version}"


_OFF = Gate(state="off")
EVERYTHING_OFF: Final = Profile(
    name="everything-off",
    version=1,
    gates=Gates(kyc=_OFF, aml=_OFF, pci=_OFF),
    effective_from=datetime(2026, 1, 1, tzinfo=UTC),
)
"""The profile of a lender that has not named another: no gate is asked, and every decision says so."""
