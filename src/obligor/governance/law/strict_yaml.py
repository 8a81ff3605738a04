"""YAML that says one thing only: no key twice, no alias, no tag; and models read from it."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel

from obligor.core.errors import LawError
from obligor.core.strict_json import read_model

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES = 1 << 20
Model = TypeVar("Model", bound=BaseModel)


def read_yaml_file(path: Path, model: type[Model]) -> Model:
    """Read a model from a YAML file.

    Raises
    ------
    LawError
        Where there is no such file, it cannot be read, or it is not what the model says.
    """
    try:
        return read_yaml(path.read_bytes(), model, what=path.name)
    except OSError as error:
        raise LawError(f"{path}: cannot be read ({error.strerror})") from None


def read_yaml(data: bytes, model: type[Model], *, what: str) -> Model:
    """Read a model from the bytes of a YAML file; ``what`` stands in messages.

    Raises
    ------
    LawError
        Where it is too large, is not YAML, says something twice, lacks something, or contradicts itself.
    """
    if len(data) > _MOST_BYTES:
        raise LawError(f"{what}: {len(data)} bytes are more than {_MOST_BYTES}")
    try:
        if any(isinstance(it, yaml.AliasEvent) for it in yaml.parse(data, Loader=yaml.SafeLoader)):
            raise LawError(f"{what}: an alias (*name) is not allowed; write the value out")
        plain = yaml.load(data, Loader=_Strict)  # noqa: S506  a SafeLoader that refuses more
        as_json = json.dumps(plain, default=_text).encode()
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}" if error.problem_mark else "somewhere"
        raise LawError(f"{what}, {where}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise LawError(f"{what}: is not YAML that can be read ({type(error).__name__})") from None
    return read_model(as_json, model, what=what, error=LawError, most=_MOST_BYTES)


class _Strict(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  PyYAML calls it so
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{name}' stands twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError
