"""One attempt holds a draft at a time. Who lost it can do nothing to it any more."""

import pytest

from draftstore_common.clients.transport import Reply
from support.installation import LEASE, Installation
from support.lives import Life, Point, stalled
from support.promises import confirmed_once, nothing_is_left_but_objects

BEFORE_COPY = Point(1, "before", "/objects/copy")
BEFORE_PUBLISH = Point(1, "before", "/confirm/publish")


async def test_a_discard_during_a_confirm_is_refused(whole: Installation) -> None:
    life = Life(freezes=BEFORE_PUBLISH)
    draft = await whole.upload("holder/discard.bin", b"wanted")
    async with whole.process(life) as process:
        confirm = await stalled(life, process.confirm(draft))
        assert (await whole.door.ask("DELETE", f"/drafts/{draft['id']}")).status == 409
        life.thaw()
        await confirmed_once(whole, draft, b"wanted", await confirm)
    assert (await confirm).status == 200


async def test_an_attempt_whose_lease_lasts_is_not_taken_over(whole: Installation) -> None:
    life = Life(freezes=BEFORE_PUBLISH)
    draft = await whole.upload("holder/live.bin", b"held")
    async with whole.process(life) as process, whole.process(Life(), confirm_wait=0) as other:
        confirm = await stalled(life, process.confirm(draft))
        assert (await other.confirm(draft)).status == 202
        await whole.pass_time([draft], LEASE - 5)
        assert (await other.confirm(draft)).status == 202
        await whole.cleaner.run()
        assert (await whole.row(draft))["state"] == "confirming"
        life.thaw()
        assert (await confirm).status == 200
    await confirmed_once(whole, draft, b"held", await confirm)


@pytest.mark.parametrize("newer", [b"the same bytes", b"other bytes"], ids=["same bytes", "other bytes"])
async def test_a_stale_holder_can_neither_publish_nor_give_back_what_another_holds(
    whole: Installation, newer: bytes
) -> None:
    stale_life, live_life = Life(freezes=BEFORE_PUBLISH), Life(freezes=BEFORE_COPY)
    draft = await whole.upload(f"holder/{newer.decode()}.bin", b"the same bytes")
    async with whole.process(stale_life) as stale, whole.process(live_life) as live:
        lost = await stalled(stale_life, stale.confirm(draft))
        await whole.pass_time([draft], LEASE)
        await whole.put(draft, newer)
        held = await stalled(live_life, live.confirm(draft))
        stale_life.thaw()
        _refused(await lost)
        assert ((await whole.row(draft))["state"], await whole.objects_of(draft)) == ("confirming", [])
        live_life.thaw()
        assert (await held).status == 200
        await confirmed_once(whole, draft, newer, await held)
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])


def _refused(reply: Reply) -> None:
    assert reply.status in {202, 409, 503}, reply.body
