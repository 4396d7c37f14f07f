"""`a` and `a/b`: a file and a folder of one name, on stores that keep objects in files. Nothing existing is harmed."""

import pytest

from draftstore_common.contracts import storage as wire
from draftstore_storage import errors
from integration.storage.conftest import Bench

BLOCKED = (errors.AlreadyExists, errors.InvalidKey)
ORDERS = [("x", "x/y"), ("x/y", "x"), ("x/y/z", "x/y"), ("x", "x/y/z")]


async def copied(bench: Bench, target: str, body: bytes) -> bool:
    """Whether the store took a copy to this key; a refusal must be one of the two words we have for it."""
    draft = await bench.stored(body)
    source, main = wire.ObjectRef(role="draft", key=draft.key), wire.ObjectRef(role="main", key=target)
    try:
        await bench.store.objects.copy(source, main, if_match=draft.etag, headers=wire.ObjectHeaders())
    except BLOCKED:
        return False
    return True


@pytest.mark.parametrize(("first", "second"), ORDERS)
async def test_a_second_name_below_or_above_never_harms_the_first(bench: Bench, first: str, second: str) -> None:
    folder = bench.key("").rstrip("/")
    assert await copied(bench, f"{folder}/{first}", b"first")
    taken = await copied(bench, f"{folder}/{second}", b"second")
    assert await bench.body("main", f"{folder}/{first}") == b"first"
    if taken:
        assert await bench.body("main", f"{folder}/{second}") == b"second"
    else:
        with pytest.raises(errors.NotFound):
            await bench.store.objects.head("main", f"{folder}/{second}")


@pytest.mark.parametrize(("first", "second"), ORDERS)
async def test_deleting_one_name_leaves_the_other(bench: Bench, first: str, second: str) -> None:
    folder = bench.key("").rstrip("/")
    assert await copied(bench, f"{folder}/{first}", b"first")
    if await copied(bench, f"{folder}/{second}", b"second"):
        await bench.store.objects.delete("main", f"{folder}/{first}")
        with pytest.raises(errors.NotFound):
            await bench.store.objects.head("main", f"{folder}/{first}")
        assert await bench.body("main", f"{folder}/{second}") == b"second"


@pytest.mark.parametrize(("first", "second"), ORDERS)
async def test_deleting_many_takes_only_the_names_it_was_given(bench: Bench, first: str, second: str) -> None:
    folder = bench.key("").rstrip("/")
    assert await copied(bench, f"{folder}/{first}", b"first")
    if await copied(bench, f"{folder}/{second}", b"second"):
        keys = [f"{folder}/{first}", f"{folder}/absent"]
        assert await bench.store.objects.delete_many("main", keys) == []
        assert await bench.body("main", f"{folder}/{second}") == b"second"


async def test_a_folder_is_no_object(bench: Bench) -> None:
    folder = bench.key("").rstrip("/")
    assert await copied(bench, f"{folder}/x/y", b"first")
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("main", f"{folder}/x")
    await bench.store.objects.delete("main", f"{folder}/x")
    assert await bench.store.objects.delete_many("main", [f"{folder}/x", folder]) == []
    assert await bench.body("main", f"{folder}/x/y") == b"first"
