"""Who pays for a request: the address when it brings no good key or asks for nothing we have, else the key."""

from draftstore_common.contracts.identity import Verdict
from draftstore_gateway.address import Address, bucket
from draftstore_gateway.errors import RateLimited
from draftstore_gateway.exchange import Answer
from draftstore_gateway.limits import Decision, Limiter, Windows, windows


class Admission:
    """Charges requests, and tells the client where it stands in the header fields of the answer."""

    def __init__(self, limiter: Limiter, *, per_address: Windows, per_key: Windows) -> None:
        self._limiter = limiter
        self._per_address = per_address
        self._per_key = per_key

    async def charge_address(self, answer: Answer, client: Address) -> None:
        """Charge a refused request; raises `RateLimited` when the address has had its share of refusals."""
        _tell(answer, await self._limiter.hit("ip", self._per_address, bucket(client)))

    async def check_address(self, answer: Answer, client: Address) -> None:
        """Raise `RateLimited` if the address has had its share of refusals; charges nothing."""
        decision = await self._limiter.test("ip", self._per_address, bucket(client))
        if not decision.admitted:
            _tell(answer, decision)

    async def charge_key(self, answer: Answer, verdict: Verdict) -> None:
        """Charge an authenticated request by the key's own windows, else the default; raises `RateLimited`."""
        own = verdict.rate_limits
        limits = self._per_key if own is None else windows(own)
        if limits:
            _tell(answer, await self._limiter.hit("key", limits, str(verdict.principal.key_id)))


def _tell(answer: Answer, decision: Decision) -> None:
    answer.extra = decision.headers()
    if not decision.admitted:
        raise RateLimited(decision.retry_after)
