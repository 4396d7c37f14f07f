"""How a request reaches the service behind the gateway: bytes pass as they come, in both directions.

Over HTTP between processes, or straight into the service's application in this one. Nothing is buffered beyond a
window, decoded or redirected.
"""

from draftstore_gateway.upstreams.base import Forwarded, Upstream
from draftstore_gateway.upstreams.bulkhead import Shielded
from draftstore_gateway.upstreams.http import HttpUpstream
from draftstore_gateway.upstreams.in_process import AsgiUpstream
from draftstore_gateway.upstreams.small_calls import SmallCalls

__all__ = ["AsgiUpstream", "Forwarded", "HttpUpstream", "Shielded", "SmallCalls", "Upstream"]
