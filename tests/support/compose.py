"""docker-compose.yml as Compose reads it: variables filled in, values as the containers get them."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"

# $$, $NAME, ${NAME} and ${NAME<operator>argument}; an argument may hold variables that hold none.
_VARIABLE = re.compile(
    r"\$(?:\$|(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-?])(?P<argument>(?:[^{}]|\$\{[^{}]*\})*))?\})"
)


class MissingVariableError(Exception):
    """A variable without which Compose refuses to start; its text is what the file says about that."""


def services(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services with the variables of `environment`; raises `MissingVariableError` as Compose would stop."""
    found: dict[str, dict[str, Any]] = _filled_in(raw(), environment)["services"]
    return found


def raw() -> dict[str, Any]:
    """The file as it is written."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def is_ours(service: Mapping[str, Any]) -> bool:
    """Whether a service runs an image of ours."""
    return "build" in service


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """What a container finds in its environment."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def in_start_order(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The services' names, every one after those it depends on."""
    ordered: list[str] = []

    def add(name: str, path: tuple[str, ...] = ()) -> None:
        assert name not in path, f"{path} depend on each other"
        for dependency in found[name].get("depends_on", {}):
            add(dependency, (*path, name))
        if name not in ordered:
            ordered.append(name)

    for name in found:
        add(name)
    return ordered


def all_dependencies(found: Mapping[str, Mapping[str, Any]], name: str) -> set[str]:
    """Whatever runs before a service starts."""
    direct = set(found[name].get("depends_on", {}))
    return direct.union(*(all_dependencies(found, dependency) for dependency in direct))


def variables(text: str) -> Iterator[tuple[str, str, str]]:
    """Every variable of a text: name, operator (`:-`, `:?` …, empty without) and argument; inner ones too."""
    for match in _VARIABLE.finditer(text):
        if match["plain"] or match["name"]:
            argument = match["argument"] or ""
            yield match["plain"] or match["name"], match["operator"] or "", argument
            yield from variables(argument)


def _filled_in(node: Any, environment: Mapping[str, str]) -> Any:
    match node:
        case dict():
            return {key: _filled_in(value, environment) for key, value in node.items()}
        case list():
            return [_filled_in(value, environment) for value in node]
        case str():
            return interpolated(node, environment)
        case _:
            return node


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """A text with its variables replaced by the rules of the Compose specification."""
    return _VARIABLE.sub(partial(_value, environment), text)


def _value(environment: Mapping[str, str], match: re.Match[str]) -> str:
    name = match["plain"] or match["name"]
    if name is None:
        return "$"
    operator, argument = match["operator"] or "", match["argument"] or ""
    value = environment.get(name)
    if value or (value == "" and not operator.startswith(":")):
        return value
    if operator.endswith("?"):
        raise MissingVariableError(f"{name}: {argument}")
    return interpolated(argument, environment)
