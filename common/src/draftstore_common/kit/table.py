"""Where direct routes are found: by whole path, or segment by segment where a path has parameters."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from starlette.convertors import StringConvertor

from draftstore_common.kit.direct import DirectRoute, Handler


class Found(NamedTuple):
    """Who answers a request, and the values in its path."""

    handler: Handler
    parameters: dict[str, str]


Ends: TypeAlias = dict[str, tuple[Handler, dict[str, int]]]
"""By method: the handler of a route, and where in its path the parameters stand."""


@dataclass(slots=True)
class _Place:
    """One segment of paths with parameters: the places behind it, and the routes that end here."""

    ends: Ends = field(default_factory=dict)
    fixed: dict[str, "_Place"] = field(default_factory=dict)
    any: "_Place | None" = None

    def next(self, segment: str) -> "_Place | None":
        """Where this segment of a request leads."""
        return self.fixed.get(segment) or (self.any if segment else None)

    def made(self, segment: str) -> "_Place":
        """Where this segment of a route leads; a place that is new if need be."""
        if not segment.startswith("{"):
            return self.fixed.setdefault(segment, _Place())
        self.any = self.any or _Place()
        return self.any


class DirectTable:
    """Direct routes by path and method. What is not found here is for FastAPI to answer."""

    def __init__(self, routes: Iterable[object]) -> None:
        self._whole: dict[str, Ends] = {}
        self._root = _Place()
        for route in routes:
            # A parameter that takes the rest of a path is no segment.
            if isinstance(route, DirectRoute) and all(
                type(each) is StringConvertor for each in route.param_convertors.values()
            ):
                self._add(route)

    def find(self, method: str, path: str) -> Found | None:
        """Who answers this, if it is a direct route's."""
        ends = self._whole.get(path) or self._walk(path.split("/"))
        end = ends.get(method)
        if end is None:
            return None
        handler, parameters = end
        segments = path.split("/") if parameters else []
        return Found(handler, {name: segments[position] for name, position in parameters.items()})

    def _walk(self, segments: list[str]) -> Ends:
        place = self._root
        for segment in segments:
            following = place.next(segment)
            if following is None:
                return {}
            place = following
        return place.ends

    def _add(self, route: DirectRoute) -> None:
        segments = route.path.split("/")
        parameters = {each[1:-1]: position for position, each in enumerate(segments) if each.startswith("{")}
        for method in route.methods or ():
            self._ends(route.path, parameters)[method] = route.handler(), parameters

    def _ends(self, path: str, parameters: dict[str, int]) -> Ends:
        if not parameters:
            return self._whole.setdefault(path, {})
        place = self._root
        for segment in path.split("/"):
            place = place.made(segment)
        return place.ends
