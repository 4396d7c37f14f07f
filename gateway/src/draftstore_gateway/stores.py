"""Where rate limits are counted: in this process, or in Redis, by which several gateways count together.

The library's storages, with what they lack here: memory that is given back, and one clock for all gateways.
"""

import asyncio
import time
from typing import Any

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECTIONS = 32

SWEEP_PAUSE = 30.0
"""Seconds between two sweeps of counters that are over."""

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


class Memory(MemoryStorage):
    """Counters of this process. `sweep` runs for as long as they are used."""

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """As in the library, which keeps every entry until it is swept, and moves all of them at each request."""
        admitted = await super().acquire_entry(key, limit, expiry, amount)
        del self.events[key][limit:]
        return admitted

    async def sweep(self) -> None:
        """Forget counters that are over, now and then, for ever.

        Takes the place of the library's own sweep, which looks at every counter after every hit: with a counter for
        each of many addresses, one request would cost milliseconds.
        """
        while True:
            await asyncio.sleep(SWEEP_PAUSE)
            now = time.time()
            logs = [key for key, entries in self.events.items() if not entries or entries[0].expiry <= now]
            counts = [key for key, end in self.expirations.items() if end <= now]
            for key in logs + counts:
                await self.clear(key)


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
