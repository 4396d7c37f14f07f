"""Which ports the servers listen on.

A port is fixed by the user, or picked free once and remembered, so that endpoints stay the same over restarts.
"""

import json
import random
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from draftstore_standalone.servers.errors import PortTakenError, ServerStartError
from draftstore_standalone.servers.paths import write_private

HOST = "127.0.0.1"

# Below the range Linux hands out to outgoing connections (32768 and up), so that a remembered port stays free.
_PICKED_FROM = range(20_000, 32_000)
_PICK_ATTEMPTS = 200


def ports_from(base: int, names: Iterable[str]) -> dict[str, int]:
    """Consecutive ports for `names`, the first at `base`: to be given as `fixed`."""
    return {name: base + offset for offset, name in enumerate(names)}


def choose_ports(names: Sequence[str], *, memory: Path, fixed: Mapping[str, int] | None = None) -> dict[str, int]:
    """A port on the loopback interface for every name, all different and free a moment ago.

    A name in `fixed` gets that port. Any other gets the port it had last time according to the JSON file `memory`, or
    when that is gone or taken, a free one, which is written there. Fixed ports are not remembered.

    Raises:
        PortTakenError: a fixed port is in use.
    """
    fixed = fixed or {}
    remembered = _read(memory)
    with ExitStack() as held:
        chosen = {name: _take_fixed(name, fixed[name], held) for name in names if name in fixed}
        for name in names:
            if name not in chosen:
                chosen[name] = _take_free(name, remembered.get(name), held)
    picked = {name: port for name, port in chosen.items() if name not in fixed}
    if not picked.items() <= remembered.items():
        write_private(memory, json.dumps(remembered | picked, indent=2))
    return chosen


def _read(memory: Path) -> dict[str, int]:
    try:
        content = json.loads(memory.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _take_fixed(name: str, port: int, held: ExitStack) -> int:
    try:
        _listen(port, held)
    except (OSError, OverflowError) as error:
        raise PortTakenError(f"port {port} for {name} cannot be used: {error}") from error
    return port


def _take_free(name: str, remembered: int | None, held: ExitStack) -> int:
    candidates = random.sample(_PICKED_FROM, _PICK_ATTEMPTS)
    for port in candidates if remembered is None else (remembered, *candidates):
        try:
            _listen(port, held)
        except (OSError, OverflowError):
            continue
        return port
    raise ServerStartError(f"no free port found for {name}")


def _listen(port: int, held: ExitStack) -> None:
    listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    # As the servers do: connections left over from a killed server must not count as a listener.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(1)
