"""Writes docs/errors.md: every `code` a caller can meet, read from the sources that raise them.

A problem has its code from its class, from a literal `code="…"` where it is made, or from a rule of validation
(`broken_rule("…", …)`). Anything else stops this command, unless it is listed below as a place that carries on codes
made elsewhere: so no code is raised that is not in the list.
"""

import ast
import importlib
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from types import ModuleType

from draftstore_common.kit.errors import InvalidRequest, Problem

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "errors.md"

SERVICES: Mapping[str, str] = {
    "draftstore_gateway": "gateway",
    "draftstore_identity": "identity",
    "draftstore_drafts": "draft-service",
    "draftstore_metadata": "metadata-service",
    "draftstore_storage": "storage-service",
}

CARRIERS = frozenset(
    {
        ("draftstore_common.kit.errors", "RelayedProblem"),
        ("draftstore_common.kit.validation", "validation_problem"),
        ("draftstore_drafts.refusals", "Refused"),
    }
)
"""Where a code comes from another problem, or from the families below."""

TABLES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("draftstore_gateway.shape", "_check_path"): ("_PATH_TRICKS", "MalformedRequest"),
}
"""Where a code comes from a table `code: (…, advice)`: the table, and the class of the problem."""

FAMILIES = (
    (
        422,
        "invalid_<field>",
        "Invalid request",
        "A field, parameter or header of this name is wrong; `errors` says how",
    ),
    (422, "missing_field", "Invalid request", "A required field is not there; `errors` names it"),
    (422, "unknown_field", "Invalid request", "A field is not known; `errors` names it. Check its spelling"),
    (
        502,
        "upstream_<status>",
        "Bad answer",
        "A part of the installation gave an answer that cannot be read. Try again",
    ),
)
"""Codes that are made of what the caller sent, or of what a service behind another answered."""

NOT_FOR_CALLERS = ("settings",)
"""Modules whose broken rules stop a start and are never answered."""

_BROKEN_RULE = "broken_rule"


class UnlistedCodeError(Exception):
    """A code that cannot be read from the source."""


@dataclass(frozen=True, order=True)
class Refusal:
    """One way a code is raised."""

    code: str
    status: int
    title: str
    advice: str
    services: tuple[str, ...]
    inherited: str = ""
    """What its class says where nothing else is said."""


@dataclass
class Entry:
    """A code with all the ways it is raised."""

    statuses: list[int] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    inherited: str = ""

    def add(self, refusal: Refusal) -> None:
        """One more way."""
        self.statuses.append(refusal.status)
        self.titles.append(refusal.title)
        self.inherited = refusal.inherited
        if refusal.advice and refusal.advice not in self.advice:
            self.advice.append(refusal.advice)
        self.services.update(refusal.services)


@dataclass(frozen=True)
class Source:
    """One module: its text as a tree, and the module itself."""

    name: str
    tree: ast.Module

    @cached_property
    def module(self) -> ModuleType:
        """The imported module."""
        return importlib.import_module(self.name)

    def problem_class(self, called: ast.expr) -> type[Problem] | None:
        """The class of problems that this expression names, if it does."""
        found: object = None
        match called:
            case ast.Name(id=name):
                found = getattr(self.module, name, None)
            case ast.Attribute(value=ast.Name(id=prefix), attr=name):
                found = getattr(getattr(self.module, prefix, None), name, None)
        return found if isinstance(found, type) and issubclass(found, Problem) else None


def sources() -> list[Source]:
    """Every module of the packages whose problems callers can meet."""
    packages = [ROOT / "common/src/draftstore_common", *sorted(ROOT.glob("*/src/draftstore_*"))]
    known = {"draftstore_common", *SERVICES}
    files = [
        file for folder in dict.fromkeys(packages) if folder.name in known for file in sorted(folder.rglob("*.py"))
    ]
    return [Source(_module_name(file), ast.parse(file.read_text())) for file in files if _is_ordinary(file)]


def _is_ordinary(file: Path) -> bool:
    return "migrations" not in file.parts and file.name != "__main__.py"


def _module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts[2:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class Catalogue:
    """All refusals, found by walking the sources once."""

    def __init__(self, found: list[Source]) -> None:
        self._sources = found
        self._importers = _importers(found)
        self._made = _names_made(found)

    def entries(self) -> dict[str, Entry]:
        """Entries by code."""
        entries: dict[str, Entry] = defaultdict(Entry)
        for refusal in self._refusals():
            entries[refusal.code].add(refusal)
        return dict(sorted(entries.items()))

    def _refusals(self) -> Iterator[Refusal]:
        for source in self._sources:
            for owner, node in _walk(source.tree):
                yield from self._of_node(source, owner, node)
        everybody = tuple(SERVICES.values())
        for status, code, title, advice in FAMILIES:
            yield Refusal(code, status, title, advice, everybody)

    def _of_node(self, source: Source, owner: str, node: ast.AST) -> Iterator[Refusal]:
        match node:
            case ast.ClassDef():
                yield from self._of_class(source, node)
            case ast.Call(func=ast.Name(id=name)) if name == _BROKEN_RULE:
                if not source.name.endswith(NOT_FOR_CALLERS):
                    yield self._refusal(
                        _literal(source, node.args[0]), InvalidRequest, _text(node.args[1], source.tree), source.name
                    )
            case ast.Call():
                kind = source.problem_class(node.func)
                if kind is not None:
                    yield from self._of_call(source, owner, node, kind)

    def _of_class(self, source: Source, node: ast.ClassDef) -> Iterator[Refusal]:
        kind = source.problem_class(ast.Name(id=node.name))
        if kind is not None and "code" in vars(kind) and node.name in self._made:
            for text in [vars(kind).get("detail", ""), *_texts_of_constructor(node, kind)]:
                yield self._refusal(kind.code, kind, text, source.name)

    def _of_call(self, source: Source, owner: str, node: ast.Call, kind: type[Problem]) -> Iterator[Refusal]:
        text = _text(node.args[0], source.tree) if node.args and _begins_with_detail(kind) else ""
        given = next((keyword.value for keyword in node.keywords if keyword.arg == "code"), None)
        if given is None:
            if "code" in vars(kind):
                yield self._refusal(kind.code, kind, text, kind.__module__)
        elif isinstance(given, ast.Constant):
            yield self._refusal(str(given.value), kind, text or kind.detail, source.name)
        elif (source.name, owner) in TABLES:
            yield from self._of_table(source, owner)
        elif (source.name, owner) not in CARRIERS:
            raise UnlistedCodeError(f"{source.name}:{node.lineno}: write the code here as a literal, or list the place")

    def _of_table(self, source: Source, owner: str) -> Iterator[Refusal]:
        table, kind = TABLES[source.name, owner]
        for code, (*_, advice) in getattr(source.module, table).items():
            yield self._refusal(code, getattr(source.module, kind), advice, source.name)

    def _refusal(self, code: str, kind: type[Problem], advice: str, module: str) -> Refusal:
        return Refusal(
            code,
            kind.status,
            kind.title,
            advice.removesuffix("."),
            self._services(module),
            kind.detail.removesuffix("."),
        )

    def _services(self, module: str) -> tuple[str, ...]:
        package = module.partition(".")[0]
        return (SERVICES[package],) if package in SERVICES else tuple(sorted(self._importers[module]))


def _importers(found: Iterable[Source]) -> Mapping[str, set[str]]:
    """Which services use a module of common, directly or through another of its modules."""
    uses: dict[str, set[str]] = defaultdict(set)
    for source in found:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                uses[source.name] |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    importers: dict[str, set[str]] = defaultdict(set)
    for name in list(uses):
        service = SERVICES.get(name.partition(".")[0])
        for used in _reached(name, uses) if service else ():
            importers[used].add(str(service))
    return importers


def _reached(name: str, uses: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = {name}
    while waiting:
        found |= waiting
        waiting = {used for one in waiting for used in uses.get(one, ())} - found
    return found


def _names_made(found: Iterable[Source]) -> set[str]:
    """Names that are used as more than the base of a class or the subject of an `except`: only such are ever raised."""
    names: set[str] = set()
    for source in found:
        names |= {node.id if isinstance(node, ast.Name) else node.attr for node in _values(source.tree)}
    return names


def _values(tree: ast.AST) -> Iterator[ast.Name | ast.Attribute]:
    for node in ast.walk(tree):
        skipped: list[ast.AST] = []
        match node:
            case ast.ClassDef(bases=bases):
                skipped = list(bases)
            case ast.ExceptHandler(type=caught) if caught is not None:
                skipped = [caught]
        for child in skipped:
            for part in ast.walk(child):
                part.skipped = True  # type: ignore[attr-defined]  # a mark of ours on the tree
        if isinstance(node, ast.Name | ast.Attribute) and not hasattr(node, "skipped"):
            yield node


def _walk(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node with the name of the function or class at the top of the module that holds it."""
    for top in tree.body:
        for node in ast.walk(top):
            yield getattr(top, "name", ""), node


def _begins_with_detail(kind: type[Problem]) -> bool:
    """Whether the first argument is what callers are told."""
    return next(iter(inspect.signature(kind).parameters)) == "detail"


def _texts_of_constructor(node: ast.ClassDef, kind: type[Problem]) -> list[str]:
    """What a class's own `__init__` tells callers."""
    if kind is Problem:
        return []
    calls = [call for call in ast.walk(node) if isinstance(call, ast.Call) and _is_super_init(call.func)]
    return [_text(call.args[0]) for call in calls if call.args]


def _is_super_init(called: ast.expr) -> bool:
    return isinstance(called, ast.Attribute) and called.attr == "__init__" and isinstance(called.value, ast.Call)


def _literal(source: Source, node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    raise UnlistedCodeError(f"{source.name}:{node.lineno}: write the code here as a literal")


def _text(node: ast.expr, tree: ast.Module | None = None) -> str:
    """A text as callers read it, with … for what differs; a name stands for what was assigned to it last before."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.Name(id=name) if tree is not None:
            return next((_text(value) for value in _assigned(tree, name, node.lineno)), "")
        case ast.FormattedValue():
            return "…"
        case _:
            return ""


def _assigned(tree: ast.Module, name: str, line: int) -> list[ast.expr]:
    values = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and node.lineno < line
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]
    return sorted(values, key=lambda value: value.lineno, reverse=True)


INTRODUCTION = """# Errors

Every error is a problem document (RFC 9457), `application/problem+json`:

```json
{
  "type": "urn:draftstore:problem:draft_not_found",
  "title": "Draft not found",
  "status": 404,
  "detail": "There is no such draft. Check the id, or create a draft first.",
  "code": "draft_not_found",
  "request_id": "5f0c6a4de0a94e6b8d2c1f77"
}
```

Programs go by `code`, which never changes its meaning; `detail` is for people and may. `type` is the same code as a
URN: it stays the same wherever an installation lives, and nobody has to be able to reach it. `request_id` is what the
logs know the request by. Where several things are wrong, `errors` lists them, each with `field`, `code` and `detail`;
`code` above is that of the first.

A 429 or 503 comes with `Retry-After` where we know when to try again. What belongs to somebody else is answered like
what does not exist.

This page is made from the sources by `make errors`.
"""


def page() -> str:
    """The whole page."""
    entries = Catalogue(sources()).entries()
    parts = [INTRODUCTION]
    for status in sorted({status for entry in entries.values() for status in entry.statuses}):
        parts += [f"## {status}\n", "| code | meaning | what to do | answered by |", "|---|---|---|---|"]
        parts += [_row(code, entry) for code, entry in entries.items() if entry.statuses[0] == status]
        parts.append("")
    return "\n".join(parts)


def _row(code: str, entry: Entry) -> str:
    if len(set(entry.statuses)) > 1:
        raise UnlistedCodeError(f"{code} comes with the statuses {entry.statuses}: a code has one")
    by = "every service" if len(entry.services) == len(SERVICES) else ", ".join(sorted(entry.services))
    anchor = code.replace("<", "").replace(">", "")
    advice = " ".join(f"{escape(text, quote=False)}." for text in entry.advice or [entry.inherited]).replace("|", "\\|")
    return f'| <a id="{anchor}"></a>`{code}` | {entry.titles[0]} | {advice} | {by} |'


if __name__ == "__main__":
    TARGET.write_text(page())
    sys.stdout.write(f"{TARGET.relative_to(ROOT)} is made\n")
