import socket
from pathlib import Path

import pytest

from draftstore_standalone.servers import PortTakenError, choose_ports, ports_from


def test_picked_ports_differ_and_stay_the_same_next_time(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = choose_ports(("a", "b", "c"), memory=memory)
    assert len(set(first.values())) == 3
    assert choose_ports(("a", "b", "c"), memory=memory) == first


def test_a_remembered_port_that_somebody_took_is_replaced_and_the_new_one_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    before = choose_ports(("a", "b"), memory=memory)
    with _listener(before["a"]):
        meanwhile = choose_ports(("a", "b"), memory=memory)
    assert meanwhile["a"] != before["a"]
    assert meanwhile["b"] == before["b"]
    assert choose_ports(("a", "b"), memory=memory) == meanwhile


def test_a_fixed_port_is_used_and_not_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    fixed = choose_ports(("a",), memory=tmp_path / "other.json")
    assert choose_ports(("a", "b"), memory=memory, fixed=fixed)["a"] == fixed["a"]
    with _listener(fixed["a"]):
        assert choose_ports(("a",), memory=memory)["a"] != fixed["a"]


@pytest.mark.parametrize("port", [70_000, -1])
def test_a_number_that_is_no_port_is_refused(tmp_path: Path, port: int) -> None:
    with pytest.raises(PortTakenError, match=f"port {port} for a"):
        choose_ports(("a",), memory=tmp_path / "ports.json", fixed={"a": port})


def test_a_fixed_port_that_is_taken_is_named_with_what_wanted_it(tmp_path: Path) -> None:
    with _listener(0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"^port {port} for the gateway .*in use") as caught:
            choose_ports(("the gateway",), memory=tmp_path / "ports.json", fixed={"the gateway": port})
    assert "\n" not in str(caught.value)


def test_a_memory_that_is_no_json_is_written_anew(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    memory.write_text('{"a": 2')
    assert choose_ports(("a",), memory=memory) == choose_ports(("a",), memory=memory)


def test_a_base_gives_consecutive_ports() -> None:
    assert ports_from(9000, ("a", "b", "c")) == {"a": 9000, "b": 9001, "c": 9002}


def _listener(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))
