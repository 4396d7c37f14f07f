"""Random numbers from a stock: none is given out twice, whoever asks."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from draftstore_common.kit.randomness import STOCK, random_below, random_bytes, random_hex


def test_as_many_bytes_come_as_are_asked_for() -> None:
    sizes = [0, 1, 7, 4000, 200, STOCK, STOCK + 1, 3 * STOCK, 5]
    assert [len(random_bytes(size)) for size in sizes] == sizes
    assert len(random_hex(8)) == 16


def test_threads_never_get_the_same_bytes() -> None:
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: random_bytes(8), range(50_000)))
    assert len(set(taken)) == len(taken)


@pytest.mark.parametrize("before", [0, 100])
def test_a_forked_child_has_other_numbers_than_its_parent(before: int) -> None:
    random_bytes(before)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, random_bytes(16))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 16)
    os.close(read)
    os.close(write)
    assert len(theirs) == 16
    assert theirs != random_bytes(16)


@pytest.mark.parametrize("bound", [1, 2, 3, 5, 256, 257])
def test_numbers_below_a_bound_are_all_as_likely(bound: int) -> None:
    counts = Counter(random_below(bound) for _ in range(400 * bound))
    assert set(counts) == set(range(bound))
    assert max(counts.values()) < 600, "ten standard deviations from what is expected"
