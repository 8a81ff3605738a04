"""Reads a contract file: YAML in, a contract out, and for every mistake the line it stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from obligor.core.contract import Contract, Path, parse_contract
from obligor.core.errors import ContractError
from obligor.core.features import check_features
from obligor.files import reading

if TYPE_CHECKING:
    from pathlib import Path as FilePath

_MOST_BYTES = 4 << 20
_MOST_DEPTH = 30
_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
)

Lines = dict[Path, int]


def load_contract(path: FilePath) -> Contract:
    """Read a contract from a YAML file.

    Raises
    ------
    ContractError
        With one line for each problem: file, line, place, what it got and what it wanted.
    """
    return read_contract(_text(path), name=path.name)


def read_contract(text: str, *, name: str = "contract") -> Contract:
    """Read a contract from YAML text; ``name`` stands in messages."""
    data, lines = _plain(text, name)
    try:
        contract = parse_contract(data)
        check_features(contract)
    except ContractError as error:
        raise _with_lines(error, lines=lines, name=name) from None
    return contract


def _text(path: FilePath) -> str:
    with reading(path, wanted="a contract in YAML", error=ContractError):
        raw = path.read_bytes()
    if len(raw) > _MOST_BYTES:
        raise ContractError(f"{path}: is {len(raw)} bytes long; wanted at most {_MOST_BYTES}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: byte {error.start} is not UTF-8") from None


def _plain(text: str, name: str) -> tuple[object, Lines]:
    lines: Lines = {}
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ContractError(f"{name}: an alias (*name) is not allowed; write the value out")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise ContractError(f"{name}: is empty; wanted a contract in YAML")
        return _build(node, (), lines), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise ContractError(f"{name}, {where}: is not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ContractError(f"{name}: is not YAML: {error}") from None


def _build(node: yaml.Node, path: Path, lines: Lines) -> object:
    """Make plain data of a YAML node, noting each place's line. Tags and repeated keys are refused."""
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > _MOST_DEPTH:
        raise ContractError(f"line {line}: is nested deeper than {_MOST_DEPTH} levels")
    if node.tag not in _TAGS:
        raise ContractError(
            f"line {line}: is not YAML of a contract: the tag {node.tag.rsplit(':', 1)[-1]} is not allowed"
        )
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), lines) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: Path, lines: Lines) -> dict[Any, object]:
    built: dict[Any, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ContractError(f"line {line}: a key must be a plain text or number")
        key = _scalar(key_node)
        if key in built:
            raise ContractError(f"line {line}: the key '{key}' stands twice, first on line {lines[(*path, str(key))]}")
        lines[(*path, str(key))] = line
        built[key] = _build(value_node, (*path, str(key)), lines)
    return built


def _scalar(node: yaml.Node) -> Any:
    """Read a scalar by YAML's safe rules; a tag outside them is a ``yaml.YAMLError``."""
    return yaml.SafeLoader("").construct_object(node)


def _with_lines(error: ContractError, *, lines: Lines, name: str) -> ContractError:
    located = [f"{name}, line {_line(p.path, lines)}: {_where(p.path)}{p.message}" for p in error.problems]
    return ContractError("\n".join(located), problems=error.problems)


def _line(path: Path, lines: Lines) -> int:
    """Give the line of a place, or of the nearest place above it that has one."""
    texts = tuple(part if isinstance(part, int) else str(part) for part in path)
    while texts and texts not in lines:
        texts = texts[:-1]
    return lines.get(texts, 1)


def _where(path: Path) -> str:
    return f"{'.'.join(str(part) for part in path)}: " if path else ""
