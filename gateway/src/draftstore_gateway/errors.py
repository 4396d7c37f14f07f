"""What the gateway itself refuses. Everything else a caller sees was answered by the service behind it.

Problem
├── MalformedRequest      400      the request's shape: path, header names, framing (each with its own code)
├── CorsRefused           400      a preflight for what no browser may do here
├── RequestTimeout        408      the body did not arrive in time
├── BodyTooLarge          413
├── UriTooLong            414
├── CodingUnsupported     415      a compressed body where JSON is expected
├── HeadersTooLarge       431
├── ApiKeyMissing         401
├── ApiKeyMalformed       401
├── AddressNotAllowed     403      the key's allow-list does not hold the client's address
├── WrongMethod           405      with Allow
├── RateLimited           429      with Retry-After
├── TooManyConcurrent     429      with Retry-After
├── Overloaded            503      too many requests are with the service already
└── VerificationFailed    503      identity does not accept the gateway, or answers nonsense
"""

from collections.abc import Collection

from draftstore_common.kit.errors import Forbidden, InvalidRequest, MethodNotAllowed, Problem, Unauthorized, Unavailable


class MalformedRequest(InvalidRequest):
    """The request is refused for its shape, before anything else is looked at."""

    status = 400
    code = "malformed_request"
    title = "Malformed request"


class CorsRefused(InvalidRequest):
    """A browser asks for another origin, method or header than is allowed."""

    status = 400
    code = "cors_refused"
    title = "Not allowed across origins"

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. Ask the operator to allow the origin, and use the API's methods and headers only.")


class RequestTimeout(Problem):
    """The client took too long to send its body."""

    status = 408
    code = "request_timeout"
    title = "Request timeout"
    detail = "The body did not arrive in time. Send the request again, without pauses."


class BodyTooLarge(Problem):
    """The body is longer than this route takes."""

    status = 413
    code = "body_too_large"
    title = "Body too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"This route takes at most {limit} bytes. Send object bytes to the upload URL instead.")


class UriTooLong(Problem):
    """Path or query are longer than anything we answer."""

    status = 414
    code = "uri_too_long"
    title = "URI too long"
    detail = "Shorten the path or the query."


class CodingUnsupported(Problem):
    """The body is compressed, and nothing behind this route expands it (RFC 9110 §15.5.16)."""

    status = 415
    code = "content_encoding_unsupported"
    title = "Content coding not supported"
    detail = "Send the body as it is, without Content-Encoding."

    def headers(self) -> dict[str, str]:
        return {"Accept-Encoding": "identity"} | super().headers()


class HeadersTooLarge(Problem):
    """More headers than any client of ours sends."""

    status = 431
    code = "headers_too_large"
    title = "Headers too large"
    detail = "Send fewer or shorter headers."


class ApiKeyMissing(Unauthorized):
    """No Authorization header."""

    code = "api_key_missing"
    detail = "Send an API key: Authorization: Bearer <key>."


class ApiKeyMalformed(Unauthorized):
    """The Authorization header cannot hold a key of ours."""

    code = "api_key_malformed"
    detail = "This is not an API key. Check that it was copied whole, and send it as Authorization: Bearer <key>."


class AddressNotAllowed(Forbidden):
    """A good key from a place its owner did not allow."""

    code = "ip_not_allowed"
    detail = "This API key may not be used from this address. Use it from a network of its allow-list."


class WrongMethod(MethodNotAllowed):
    """The path exists, the method does not; `Allow` says which do (RFC 9110 §15.5.6)."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = ", ".join(sorted(allowed))
        super().__init__(f"This path answers {self._allowed} only.")

    def headers(self) -> dict[str, str]:
        return {"Allow": self._allowed} | super().headers()


class RateLimited(Problem):
    """Too many requests of this address or key."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many requests. Wait {seconds} s, then go on more slowly.", retry_after=seconds)


class TooManyConcurrent(Problem):
    """As many requests of this key are under way as may be."""

    status = 429
    code = "too_many_concurrent"
    title = "Too many concurrent requests"
    retry_after = 1

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests of this key are under way. Send this one again when some have ended.")


class Overloaded(Unavailable):
    """The service behind this route has as much to do as it may have at once. Nothing was begun."""

    code = "overloaded"
    title = "Overloaded"
    detail = "Too many requests are under way. Nothing was done: send the same request again shortly."
    retry_after = 1


class VerificationFailed(Unavailable):
    """No key can be checked: identity refuses the gateway's own credential, or its answer cannot be used."""

    code = "identity_unavailable"
    detail = "Credentials cannot be checked for the moment. Send the same request again shortly."
