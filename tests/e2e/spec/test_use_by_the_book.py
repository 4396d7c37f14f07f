"""What is promised of the instant a key was used last."""

from datetime import datetime, timedelta
from typing import Any

from support.api import Api
from support.clients import issue
from support.until import until

KEYS = "/api/v1/keys"


async def test_the_last_use_is_at_most_a_minute_behind(admin: Api, used_long_ago: dict[str, Any]) -> None:
    """That key was used when these tests began, and this one is the last of them: most of the minute is over."""
    assert used_long_ago["last_used_at"] is None

    async def told() -> bool:
        return (await admin.json("GET", f"{KEYS}/{used_long_ago['id']}"))["last_used_at"] is not None

    await until(told, "the use is on record", seconds=60)
    found = await admin.json("GET", f"{KEYS}/{used_long_ago['id']}")
    used, made = (datetime.fromisoformat(found[name]) for name in ("last_used_at", "created_at"))
    assert timedelta(0) <= used - made < timedelta(seconds=30)
    never = await issue(admin)
    assert (await admin.json("GET", f"{KEYS}/{never['id']}"))["last_used_at"] is None
