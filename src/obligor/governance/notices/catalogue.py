"""The templates of notices: what each is for, and who approved which bytes of it.

A template is approved by two people, who sign its hash in a file of the lender. One letter changed, in the wording or in how it
is laid out, and it is approved no longer. The names are what the file says; that they are two people who were asked is for
whoever keeps the file to see to.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from obligor.core.canonical import canonical_json, sha256
from obligor.core.errors import LawError, NoticeError
from obligor.core.people import are_one_person
from obligor.core.strict_json import StrictModel
from obligor.governance.law.rules import RuleId
from obligor.governance.law.strict_yaml import read_yaml_file
from obligor.governance.notices.particulars import Language

if TYPE_CHECKING:
    from collections.abc import Iterable

TEMPLATES_FOLDER: Final = Path(__file__).parent / "templates"
FORMS: Final = ("form.txt.j2", "form.html.j2")
TemplateId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,60}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Person = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]


class Template(StrictModel):
    """One template in one language."""

    id: TemplateId
    title: str
    """The heading of the notice."""
    language: Language
    kind: Literal["adverse_action", "score_disclosure", "counter_offer", "incomplete"]
    """What it tells: of a decline one of the two lists, an offer with the reasons for what was declined, or what is missing."""
    file: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,80}\.j2$")]
    """Its file, beside the index."""
    rules: Annotated[tuple[RuleId, ...], Field(min_length=1)]
    """The rules that it rests on."""


class _Index(StrictModel):
    schema_: Literal["obligor/templates/1"] = Field(alias="schema")
    templates: tuple[Template, ...]


class Approval(StrictModel):
    """That two people approved a template, told by its hash."""

    template: TemplateId
    language: Language
    sha256: Sha256
    """Of the template and of what lays it out (``Catalogue.sha256``)."""
    approved_by: tuple[Person, Person]
    approved_on: date

    @model_validator(mode="after")
    def _two_people(self) -> Self:
        if are_one_person(*self.approved_by):
            raise LawError(f"approvals: the template '{self.template}' was approved by one person; wanted two")
        return self


class Approvals(StrictModel):
    """The templates that a lender has approved."""

    schema_: Literal["obligor/approvals/1"] = Field(alias="schema")
    """The version of this format."""
    templates: tuple[Approval, ...]


class Catalogue:
    """The templates that come with the product, or those of a lender's own folder."""

    def __init__(self, folder: Path = TEMPLATES_FOLDER) -> None:
        self.folder = folder
        self.templates = read_yaml_file(folder / "index.yaml", _Index).templates
        keys = [(it.id, it.language) for it in self.templates]
        if len(set(keys)) != len(keys):
            raise LawError(f"{folder.name}: a template stands twice in one language")

    def find(self, name: str, *, language: str) -> Template:
        """Give a template in a language.

        Raises
        ------
        NoticeError
            Where there is none, or none in this language.
        """
        found = [it for it in self.templates if it.id == name]
        if not found:
            known = ", ".join(sorted({it.id for it in self.templates}))
            raise NoticeError(
                f"notice: there is no template {name[:80]!r}; wanted one of {known}", refusal="no_template"
            )
        spoken = next((it for it in found if it.language == language), None)
        if spoken is None:
            there = ", ".join(it.language for it in found)
            raise NoticeError(
                f"notice: the template '{name}' is there in {there}; wanted {language[:20]!r}", refusal="wrong_language"
            )
        return spoken

    def sha256(self, template: Template) -> str:
        """Give the hash of a template, with its entry in the index and what lays it out."""
        said = {name: sha256(it.encode()) for name, it in self.texts(template).items()}
        return sha256(canonical_json({"files": said, "entry": template.model_dump(mode="json")}))

    def texts(self, template: Template) -> dict[str, str]:
        """Give the files that a template is, by their names: what is approved, and all that a notice is made of."""
        return {name: self._text(name) for name in (template.file, *FORMS)}

    def approved(self, approvals: Approvals, *, on: date) -> frozenset[str]:
        """Name the templates that are approved in some language, byte for byte as they are."""
        return frozenset(it.id for it in self.templates if self._approval(it, approvals, on) is not None)

    def check_approved(self, template: Template, approvals: Approvals, *, on: date) -> Approval:
        """Refuse a template that is not approved as it is.

        Raises
        ------
        NoticeError
            With the hash that it has.
        """
        found = self._approval(template, approvals, on)
        if found is None:
            raise NoticeError(
                f"notice: the template '{template.id}' ({template.language}) is not approved as it is",
                refusal="not_approved",
                hint=f"two people read it and sign its hash, {self.sha256(template)}, in approved.yaml",
            )
        return found

    def _approval(self, template: Template, approvals: Approvals, on: date) -> Approval | None:
        wanted = (template.id, template.language, self.sha256(template))
        return next(
            (it for it in _until(approvals.templates, on) if (it.template, it.language, it.sha256) == wanted), None
        )

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_bytes().decode()
        except OSError as error:
            raise LawError(f"{name}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise LawError(f"{name}: is not UTF-8") from None


def _until(approvals: Iterable[Approval], on: date) -> Iterable[Approval]:
    return (it for it in approvals if it.approved_on <= on)
