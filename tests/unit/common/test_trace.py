"""A valid trace goes on, an invalid one never does."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from draftstore_common.clients.transport import AsgiTransport, Call
from draftstore_common.kit.app import service_app
from draftstore_common.kit.logging import JsonFormatter
from draftstore_common.kit.trace import Trace

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


def test_a_valid_trace_goes_on_with_a_span_of_our_own() -> None:
    adopted = Trace.adopt([PARENT], ["congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"])
    assert (adopted.trace_id, adopted.flags) == (TRACE_ID, 1)
    assert adopted.span_id != SPAN_ID
    assert adopted.headers() == [
        ("traceparent", f"00-{TRACE_ID}-{adopted.span_id}-01"),
        ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
    ]


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        [PARENT, PARENT],
        [PARENT.upper()],
        [PARENT + "-more"],
        [PARENT[:-1]],
        [PARENT + "0"],
        [PARENT.replace("00-", "ff-", 1)],
        [PARENT.replace("00-", "0-", 1)],
        [PARENT.replace(TRACE_ID, "0" * 32)],
        [PARENT.replace(TRACE_ID, TRACE_ID[:-1] + "g")],
        [PARENT.replace(SPAN_ID, "0" * 16)],
        [f"{PARENT}, {PARENT}"],
        [PARENT + "\n"],
    ],
    ids=lambda parents: str(len(parents)) + str(parents)[:60],
)
def test_an_invalid_trace_is_replaced_and_its_state_dropped(parents: list[str]) -> None:
    adopted = Trace.adopt(parents, ["rojo=1"])
    assert adopted.trace_id != TRACE_ID
    assert adopted.state == ""
    assert Trace.adopt([adopted.headers()[0][1]], []).trace_id == adopted.trace_id


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    adopted = Trace.adopt([f"cc-{TRACE_ID}-{SPAN_ID}-ff-what-comes-later"], [])
    assert adopted.headers() == [("traceparent", f"00-{TRACE_ID}-{adopted.span_id}-03")]


def test_states_of_several_fields_are_one() -> None:
    assert Trace.adopt([PARENT], ["a=1, b=2", "", "t@c=3"]).state == "a=1,b=2,t@c=3"


@pytest.mark.parametrize(
    "state",
    ["a", "A=1", "a=1,a=2", "a=b=c", "a=é", "a=\x01", ",".join(f"k{n}=1" for n in range(33)), "a=" + "x" * 257, "=1"],
    ids=lambda state: state[:12],
)
def test_an_invalid_state_is_dropped_and_the_trace_goes_on(state: str) -> None:
    assert Trace.adopt([PARENT], [state]).headers()[1:] == []


@given(st.lists(st.text(max_size=80), max_size=3), st.lists(st.text(max_size=80), max_size=3))
def test_whatever_comes_in_valid_headers_go_out(parents: list[str], states: list[str]) -> None:
    adopted = Trace.adopt(parents, states)
    again = Trace.adopt([adopted.headers()[0][1]], [value for _, value in adopted.headers()[1:]])
    assert (again.trace_id, again.flags, again.state) == (adopted.trace_id, adopted.flags, adopted.state)


async def test_a_trace_stands_in_the_log_of_every_service_on_its_way() -> None:
    """One service asks another over a transport; both tell their log lines."""
    inner = AsgiTransport(_telling_its_log([]))
    outer = AsgiTransport(_telling_its_log([inner]))
    reply = await outer.send(Call("GET", "/log", headers={"traceparent": PARENT}))
    lines = json.loads(reply.body)
    assert [line["trace_id"] for line in lines] == [TRACE_ID, TRACE_ID]


def _telling_its_log(others: list[AsgiTransport]) -> ASGIApp:
    router = APIRouter()

    @router.get("/log")
    async def log() -> list[Any]:
        record = logging.LogRecord("x", logging.INFO, "f", 1, "here", (), None)
        asked = [await other.send(Call("GET", "/log")) for other in others]
        return [
            json.loads(JsonFormatter("x").format(record)),
            *(line for one in asked for line in json.loads(one.body)),
        ]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    return service_app("x", lifespan=lifespan, routers=[router])
