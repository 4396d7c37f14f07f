"""The shared store of rate limits: Redis, by which several gateways count together, with one clock for all of them."""

from typing import Any

from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECTIONS = 32

_ACQUIRE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local limit, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest = redis.call('LINDEX', KEYS[1], limit - 1)
if oldest and tonumber(oldest) >= now - window then
    return false
end
redis.call('LPUSH', KEYS[1], string.format('%.6f', now))
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('EXPIRE', KEYS[1], window + 1)
return true
"""
"""Admit one request, if the one `limit` before it is longer ago than the window.

Takes the arguments of the library's own script, but not the time from the caller: a gateway whose clock is behind would
write entries that the others take for long over."""


def redis_pool(url: str) -> BlockingConnectionPool:
    """Connections that try once. Whoever uses them says how long they may take."""
    return BlockingConnectionPool.from_url(
        url, max_connections=CONNECTIONS, timeout=None, socket_timeout=None, retry=Retry(NoBackoff(), 0)
    )


def redis_storage(url: str, pool: BlockingConnectionPool) -> RedisStorage:
    """Counters in Redis, over these connections."""
    options: dict[str, Any] = {"connection_pool": pool}  # passed on to redis-py; the library's types do not know it
    storage = RedisStorage(url, implementation="redispy", key_prefix="draftstore:limits", **options)
    bridge: Any = storage.bridge
    bridge.lua_acquire_moving_window = Redis(connection_pool=pool).register_script(_ACQUIRE)
    return storage
