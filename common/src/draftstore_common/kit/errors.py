"""Errors that callers see: RFC 9457 problem details with a stable `code`.

Problem                 anything a caller is told; carries status, code and what to do
├── InvalidRequest      400/422  the request itself is wrong
├── Unauthorized        401      no usable credential
├── Forbidden           403      the credential is good, the power is missing
├── NotFound            404      absent, or not the caller's: both look the same
├── Conflict            409      the state of the thing forbids it now
├── Gone                410      it was here, and will not come back
└── Unavailable         503      something behind us is away; nothing was lost, try again
"""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

PROBLEM_MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One wrong field: where it is, its own code, and what to change. `id`: of the thing it names, if it names one."""

    field: str
    id: str | None = None
    code: str
    detail: str


class ProblemDocument(BaseModel):
    """The body of every error answer (RFC 9457), with our `code`, `request_id` and per-field `errors`."""

    model_config = ConfigDict(extra="ignore")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str = "-"
    errors: list[FieldError] | None = None


class Problem(Exception):
    """An error meant for the caller. Subclasses fix status, code and title; `detail` says what to do next."""

    status: ClassVar[int] = 500
    needs_operator: ClassVar[bool] = False
    """Whether somebody who runs the installation must act: then it is an ERROR in the log, whatever its status."""

    code: str = "internal_error"
    title: str = "Internal error"
    detail: str = "Something failed on our side. Try again; if it persists, report the request id."
    retry_after: int | None = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        code: str | None = None,
        retry_after: int | None = None,
        errors: list[FieldError] | None = None,
    ) -> None:
        self.detail = detail or self.detail
        self.code = code or self.code
        self.retry_after = retry_after if retry_after is not None else self.retry_after
        self.errors = errors
        super().__init__(f"{self.code}: {self.detail}")

    @property
    def http_status(self) -> int:
        """The status of the answer; a problem relayed from another service keeps that service's status."""
        return self.status

    def document(self, request_id: str) -> ProblemDocument:
        """The problem as the body of an answer."""
        return ProblemDocument(
            type=f"urn:draftstore:problem:{self.code}",
            title=self.title,
            status=self.http_status,
            detail=self.detail,
            code=self.code,
            request_id=request_id,
            errors=self.errors,
        )

    def headers(self) -> dict[str, str]:
        """Headers the answer carries besides its type."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class RelayedProblem(Problem):
    """A problem another service answered. Unless someone handles it by its `code`, the caller sees it unchanged."""

    def __init__(self, document: ProblemDocument, retry_after: int | None = None) -> None:
        self.title = document.title
        self._status = document.status
        if retry_after is None and document.status in {429, 503}:
            retry_after = Unavailable.retry_after  # whoever said so may have stood before the service
        super().__init__(document.detail, code=document.code, retry_after=retry_after, errors=document.errors)

    @property
    def http_status(self) -> int:
        return self._status

    def headers(self) -> dict[str, str]:
        # A 401 must name its scheme wherever it was first answered (RFC 9110 §11.6.1).
        challenge = {"WWW-Authenticate": "Bearer"} if self._status == 401 else {}
        return challenge | super().headers()

    @classmethod
    def parse(cls, status: int, body: bytes, retry_after: str | None) -> Self:
        """Read a problem answer; a body that is none (a proxy's page) becomes a plain 502-like problem."""
        seconds = int(retry_after) if retry_after and retry_after.isdecimal() else None
        try:
            return cls(ProblemDocument.model_validate_json(body), seconds)
        except ValueError:
            text = "A service behind this one gave an answer that cannot be read. Try again."
            return cls(ProblemDocument(title="Bad answer", status=502, detail=text, code=f"upstream_{status}"), seconds)


class InvalidRequest(Problem):
    """The request cannot be understood or breaks a rule of its shape."""

    status = 422
    code = "invalid_request"
    title = "Invalid request"
    detail = "Correct the request and send it again."


class MalformedJson(InvalidRequest):
    """The body is not JSON."""

    status = 400
    code = "invalid_json"
    title = "Invalid JSON"
    detail = "The body is not valid JSON. Send a JSON object with Content-Type: application/json."


class Unauthorized(Problem):
    """No usable credential came with the request."""

    status = 401
    code = "unauthorized"
    title = "Not authenticated"
    detail = "Send a valid credential in the Authorization header."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"} | super().headers()


class Forbidden(Problem):
    """The credential is good, but does not carry this power."""

    status = 403
    code = "forbidden"
    title = "Not allowed"
    detail = "This credential does not carry the power for this."


class NotFound(Problem):
    """Absent, or somebody else's: the caller cannot tell which."""

    status = 404
    code = "not_found"
    title = "Not found"
    detail = "There is nothing here. Check the path and the id."


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"
    detail = "This path does not answer this method."


class Conflict(Problem):
    """The present state forbids it."""

    status = 409
    code = "conflict"
    title = "Conflict"


class Gone(Problem):
    """It was here, and will not come back."""

    status = 410
    code = "gone"
    title = "Gone"


class Unavailable(Problem):
    """Something this service needs is away. Nothing was lost; the same request may succeed soon."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"
    detail = "Something this service needs is away. Nothing was lost: send the same request again shortly."
    retry_after = 2


class CannotStart(Exception):
    """Why a service does not start, in one line for whoever starts it. No caller ever sees it."""


def chain(error: BaseException) -> list[str]:
    """The error and its causes as short texts for a log line, outermost first."""
    texts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        texts.append(f"{type(current).__name__}: {current}")
        current = current.__cause__
    return texts


def problem_body(problem: Problem, request_id: str) -> dict[str, Any]:
    """The JSON body of a problem, without members that are absent."""
    return problem.document(request_id).model_dump(exclude_none=True)
