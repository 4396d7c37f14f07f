"""`python -m bench.echo`: a FastAPI route that answers what it was sent, on the server every service runs on.

The body is that of a create, a pydantic model on the way in and on the way out. No log, no middleware: what a request
costs before it does anything. `PORT` in the environment.
"""

import os
from typing import Annotated

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

from draftstore_common.kit.serve import server_config


class Intent(BaseModel):
    """What a create says."""

    object_name: Annotated[str, Field(min_length=1, max_length=800)]
    content_type: str | None = None
    size: Annotated[int | None, Field(ge=0)] = None


async def echo(body: Intent) -> Intent:
    """Answer it."""
    return body


def create_app() -> FastAPI:
    """The application."""
    app = FastAPI()
    app.post("/api/v1/drafts", status_code=201)(echo)
    return app


if __name__ == "__main__":
    uvicorn.Server(server_config(create_app(), host="127.0.0.1", port=int(os.environ["PORT"]), grace=1)).run()
