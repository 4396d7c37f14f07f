"""The resource form: drafts as things with an id."""

import asyncio
from uuid import UUID

from support.api import Api
from support.rows import age_draft, draft_key, state_of
from support.stack import Stack


async def test_a_draft_lives_from_open_to_confirmed(stack: Stack, api: Api) -> None:
    draft = await api.draft("drafts/life.txt", content_type="text/plain", metadata={"order": "7"})
    assert UUID(draft["id"]).version == 7
    assert (draft["state"], draft["object_name"], draft["metadata"]) == ("open", "drafts/life.txt", {"order": "7"})
    assert (draft["upload"]["type"], draft["upload"]["method"]) == ("put", "PUT")
    path = f"/api/v1/drafts/{draft['id']}"

    assert (await api.put(draft["upload"], b"bytes")).status_code == 200
    preview = await api.json("POST", f"{path}/download-url")
    assert await api.download(preview["download_url"]) == b"bytes"
    assert (await api.json("GET", path))["state"] == "uploaded"

    receipt = await api.confirm(draft["id"])
    assert receipt["final_location"] == "main/drafts/life.txt"
    assert (receipt["draft_id"], receipt["size"], receipt["content_type"]) == (draft["id"], 5, "text/plain")
    assert (await api.json("GET", path))["state"] == "confirmed"
    assert await api.confirm(draft["id"]) == receipt
    found = await stack.store.head("main", "drafts/life.txt")
    assert found is not None
    assert found.content_type == "text/plain"


async def test_a_fresh_upload_url_is_signed_for_the_same_draft(api: Api) -> None:
    draft = await api.draft("drafts/again.txt")
    answer = await api.json("POST", f"/api/v1/drafts/{draft['id']}/upload-url")
    upload = answer.get("upload", answer)
    assert (await api.put(upload, b"by the second url")).status_code == 200
    assert (await api.confirm(draft["id"]))["size"] == len(b"by the second url")


async def test_a_discarded_draft_is_gone_for_good(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("drafts/discarded.txt", b"bytes")
    key = await draft_key(stack, draft["id"])
    path = f"/api/v1/drafts/{draft['id']}"
    first = await api.call("DELETE", path)
    assert first.is_success, first.text
    assert (await api.call("DELETE", path)).status_code == first.status_code
    assert await state_of(stack, draft["id"]) == "discarded"
    assert await api.problem("POST", f"{path}/confirm", {}) == (410, "draft_discarded")
    assert await api.problem("POST", f"{path}/upload-url") == (410, "draft_discarded")
    await stack.clean_once()
    assert await stack.store.head(stack.draft_bucket, key) is None


async def test_a_confirmed_draft_cannot_be_discarded(stack: Stack, api: Api) -> None:
    receipt = await api.confirmed("drafts/kept.txt", b"kept")
    path = f"/api/v1/drafts/{receipt['draft_id']}"
    assert await api.problem("DELETE", path) == (409, "draft_state_conflict")
    assert await stack.store.read("main", "drafts/kept.txt") == b"kept"


async def test_a_list_shows_every_draft_once_newest_first(api: Api) -> None:
    made = [(await api.draft("drafts/listed.txt"))["id"] for _ in range(7)]
    seen: list[str] = []
    query = "object_name=drafts/listed.txt&limit=3"
    page = await api.json("GET", f"/api/v1/drafts?{query}")
    while page["next_cursor"]:
        seen += [draft["id"] for draft in page["items"]]
        await api.draft("drafts/listed.txt")  # what comes meanwhile neither skips nor doubles what was there
        page = await api.json("GET", f"/api/v1/drafts?{query}&cursor={page['next_cursor']}")
    seen += [draft["id"] for draft in page["items"]]
    assert seen == made[::-1]


async def test_a_list_can_be_narrowed_to_a_state(api: Api) -> None:
    kept, given_up = [(await api.draft("drafts/narrowed.txt"))["id"] for _ in range(2)]
    assert (await api.call("DELETE", f"/api/v1/drafts/{given_up}")).is_success
    for state, expected in (("open", kept), ("discarded", given_up)):
        page = await api.json("GET", f"/api/v1/drafts?object_name=drafts/narrowed.txt&state={state}")
        assert [draft["id"] for draft in page["items"]] == [expected]


async def test_an_overdue_draft_is_listed_as_expired_before_any_cleaner_ran(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("drafts/overdue.txt", b"x", ttl=60)
    await age_draft(stack, draft["id"], 61)
    listed = {
        state: [item["state"] for item in (await api.json("GET", f"/api/v1/drafts?{query}"))["items"]]
        for state in ("", "open", "uploaded", "expired")
        if (query := f"object_name=drafts/overdue.txt{state and '&state='}{state}")
    }
    assert listed == {"": ["expired"], "open": [], "uploaded": [], "expired": ["expired"]}


async def test_a_cursor_shows_its_reader_only_what_is_his(api: Api, foreigner: Api) -> None:
    for _ in range(3):
        await api.draft("drafts/cursor.txt")
    page = await api.json("GET", "/api/v1/drafts?limit=1")
    answer = await foreigner.call("GET", f"/api/v1/drafts?cursor={page['next_cursor']}")
    tenant = page["items"][0]["tenant_id"]
    assert tenant not in answer.text


async def test_an_answer_never_tells_where_the_bytes_wait(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("drafts/where.txt", b"bytes")
    shown = await api.call("GET", f"/api/v1/drafts/{draft['id']}")
    assert await draft_key(stack, draft["id"]) not in shown.text


async def test_two_drafts_of_a_name_never_touch_each_other(api: Api) -> None:
    first, second = await asyncio.gather(*(api.uploaded("drafts/pair.txt", text) for text in (b"one", b"two")))
    for draft, content in ((first, b"one"), (second, b"two")):
        preview = await api.json("POST", f"/api/v1/drafts/{draft['id']}/download-url")
        assert await api.download(preview["download_url"]) == content


async def test_a_confirm_is_bound_to_the_bytes_that_were_previewed(api: Api) -> None:
    draft = await api.uploaded("drafts/previewed.txt", b"seen")
    preview = await api.json("POST", f"/api/v1/drafts/{draft['id']}/download-url")
    etag = (await api.http.get(preview["download_url"])).headers["etag"].strip('"')
    assert (await api.put(draft["upload"], b"changed afterwards")).status_code == 200
    path = f"/api/v1/drafts/{draft['id']}/confirm"
    assert await api.problem("POST", path, {"etag": etag}) == (409, "draft_changed")
    assert (await api.confirm(draft["id"]))["size"] == len(b"changed afterwards")


async def test_a_subject_cannot_submit_the_draft_of_another(api: Api) -> None:
    draft = await api.uploaded("drafts/subject.txt", b"bytes", subject="user-1")
    path = f"/api/v1/drafts/{draft['id']}/confirm"
    missing = "/api/v1/drafts/01890000-0000-7000-8000-000000000000/confirm"
    assert await api.problem("POST", path, {"subject": "user-2"}) == await api.problem("POST", missing, {})
    assert (await api.problem("POST", path, {}))[0] == 404
    assert (await api.confirm(draft["id"], subject="user-1"))["final_location"] == "main/drafts/subject.txt"
