"""`endpoints.json`: how scripts find a running standalone. Present only while it is ready."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from draftstore_standalone.keys import KeyFiles
from draftstore_standalone.servers.paths import write_private

NAME = "endpoints.json"


@contextmanager
def announced(data_dir: Path, *, gateway_url: str, s3_endpoint: str | None, keys: KeyFiles) -> Iterator[Path]:
    """Write the file in one step; remove it on leaving. Keys are named by their files, never written here.

    `grpc_address` is null: there is no gRPC door yet.
    """
    path = data_dir / NAME
    content = {
        "gateway_url": gateway_url,
        "grpc_address": None,
        "s3_endpoint": s3_endpoint,
        "admin_key_file": str(keys.admin),
        "data_key_file": str(keys.data),
        "pid": os.getpid(),
    }
    write_private(path, json.dumps(content, indent=2) + "\n")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
