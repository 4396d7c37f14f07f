"""Whoever is told to wait is told how long."""

import pytest

from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.kit.errors import Problem, RelayedProblem
from draftstore_gateway import errors

TOLD_TO_WAIT = (429, 503)
OWN = [
    errors.RateLimited(3),
    errors.TooManyConcurrent(100),
    errors.Overloaded(),
    errors.VerificationFailed(),
    ServiceUnavailable(),
    RelayedProblem(ServiceUnavailable().document("-")),
    RelayedProblem(errors.RateLimited(3).document("-")),
]


@pytest.mark.parametrize("problem", OWN, ids=lambda problem: f"{type(problem).__name__} {problem.code}")
def test_who_is_told_to_come_again_is_told_when(problem: Problem) -> None:
    assert problem.http_status in TOLD_TO_WAIT
    assert int(problem.headers()["Retry-After"]) > 0


def test_every_such_refusal_of_the_gateway_is_looked_at() -> None:
    own = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Problem)]
    waiting = {kind for kind in own if kind.status in TOLD_TO_WAIT and kind.__module__ == errors.__name__}
    assert waiting - {type(problem) for problem in OWN} == set()
