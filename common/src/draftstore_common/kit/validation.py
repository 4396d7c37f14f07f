"""Turns what pydantic found wrong into one problem whose `code` names the first wrong thing."""

from collections.abc import Mapping, Sequence
from typing import Any

from draftstore_common.kit.errors import FieldError, InvalidRequest, MalformedJson
from draftstore_common.kit.redaction import redact

_OUTSIDE = frozenset({"body", "query", "path", "header"})

_GENERIC = {"extra_forbidden": "unknown_field", "missing": "missing_field"}


MAX_ERRORS = 20
MAX_FIELD = 100
MAX_MEMBERS = 1000
"""Bounds of what an answer says, so that a small hostile request gets no large one: some errors, and the first of every
further member of a list, for whoever sends many things at once."""


def validation_problem(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The problem for a request that failed validation. Values the caller sent are never repeated.

    The code is that of the first error: our own where a rule of ours was broken (`object_name_empty`),
    `unknown_field` or `missing_field`, else `invalid_<field>`.
    """
    if any(error["type"] == "json_invalid" for error in errors):
        return MalformedJson()
    fields = [_field_error(error) for error in _told(errors)]
    first = fields[0]
    return InvalidRequest(f"{first.field}: {first.detail}", code=first.code, errors=fields)


def _told(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    firsts: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for error in errors:
        if (member := _member(error["loc"])) is not None:
            firsts.setdefault(member, error)
    known = {id(error) for error in errors[:MAX_ERRORS]}
    return [*errors[:MAX_ERRORS], *(error for error in list(firsts.values())[:MAX_MEMBERS] if id(error) not in known)]


def _member(location: Sequence[int | str]) -> tuple[int | str, ...] | None:
    """The path to the list's member an error is in; None if it is in none."""
    for place, part in enumerate(location):
        if isinstance(part, int):
            return tuple(location[: place + 1])
    return None


def _field_error(error: Mapping[str, Any]) -> FieldError:
    path = [part for part in error["loc"] if part not in _OUTSIDE and not _is_union_branch(part)]
    # The name of a field may be the caller's own word, and that a secret pasted into the wrong place.
    field = redact(".".join(str(part) for part in path)[: 2 * MAX_FIELD])[:MAX_FIELD] or "body"
    return FieldError(field=field, code=_code(error, path), detail=_detail(error))


def _is_union_branch(part: Any) -> bool:
    """Pydantic names the branch of a union it tried, as `function-after[…]`: nothing a caller wrote."""
    return isinstance(part, str) and "[" in part


def _code(error: Mapping[str, Any], path: list[Any]) -> str:
    kind = str(error["type"])
    if kind in _GENERIC:
        return _GENERIC[kind]
    if _is_ours(error):
        return kind
    # The first part is a field or a header of ours; what follows may be the caller's own words.
    return f"invalid_{path[0]}".lower().replace("-", "_") if path and isinstance(path[0], str) else "invalid_request"


def _is_ours(error: Mapping[str, Any]) -> bool:
    return (error.get("ctx") or {}).get("rule") == "ours"


def _detail(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "This field is not known here. Remove it, or check its spelling."
        case "missing":
            return "This field is required. Add it and send the request again."
        case "model_attributes_type" if list(error["loc"]) == ["body"]:
            return "This is no JSON object. Send one, with Content-Type: application/json."
        case _:
            return f"{str(error['msg']).rstrip('.')}. Correct this field and send the request again."
