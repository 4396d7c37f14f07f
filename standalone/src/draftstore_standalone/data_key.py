"""A data key that works: the one that is kept, or a new one in its place."""

import aiohttp

from draftstore_common.contracts.administration import Key, KeyCreate, NewKey
from draftstore_identity.domain import BACK_END_SCOPES
from draftstore_standalone.keys import KeyFiles, read
from draftstore_standalone.servers.paths import write_private
from draftstore_standalone.tour import TourFailedError


async def usable_data_key(session: aiohttp.ClientSession, gateway_url: str, keys: KeyFiles) -> str:
    """The kept data key if it still opens what the tour needs; else a new one.

    It does not after it was revoked, or with a database that was bootstrapped elsewhere.
    """
    kept = read(keys.data)
    if kept is not None and await _opens_everything(session, gateway_url, kept):
        return kept
    return await _new_data_key(session, gateway_url, keys)


async def _opens_everything(session: aiohttp.ClientSession, gateway_url: str, secret: str) -> bool:
    headers = {"Authorization": f"Bearer {secret}"}
    async with session.get(f"{gateway_url}/api/v1/keys/self", headers=headers) as answer:
        if answer.status != 200:
            return False
        key = Key.model_validate_json(await answer.read())
    return set(key.scopes) >= set(BACK_END_SCOPES) and not key.name_prefixes


async def _new_data_key(session: aiohttp.ClientSession, gateway_url: str, keys: KeyFiles) -> str:
    wanted = KeyCreate(name="standalone", scopes=BACK_END_SCOPES)
    headers = {"Authorization": f"Bearer {read(keys.admin)}", "Content-Type": "application/json"}
    async with session.post(f"{gateway_url}/api/v1/keys", data=wanted.model_dump_json(), headers=headers) as answer:
        if answer.status != 201:
            raise TourFailedError(f"making a data key answered {answer.status}: {await answer.text()}")
        key = NewKey.model_validate_json(await answer.read())
    write_private(keys.data, key.key)
    return key.key
