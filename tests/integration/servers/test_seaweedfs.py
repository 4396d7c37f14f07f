import asyncio
import os
import re
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from draftstore_standalone.servers import (
    DataDirectoryInUseError,
    PortTakenError,
    SeaweedServer,
    ServerDiedError,
    ServerStartError,
    choose_ports,
)
from draftstore_standalone.servers.account import server_account
from integration.servers.conftest import connect, owner_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MakeClient = Callable[[SeaweedServer], "S3Client"]

_LISTEN = "0A"  # proc_net_tcp(5)

_FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nintruder\r\n--b--\r\n'
_FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture
def bucket(weed: SeaweedServer, s3_client: MakeClient) -> Iterator[str]:
    client = s3_client(weed)
    client.create_bucket(Bucket="inspected")
    client.put_object(Bucket="inspected", Key="folder/object", Body=b"untouched")
    yield "inspected"
    assert client.get_object(Bucket="inspected", Key="folder/object")["Body"].read() == b"untouched"
    assert client.list_objects_v2(Bucket="inspected")["KeyCount"] == 1
    client.delete_object(Bucket="inspected", Key="folder/object")
    client.delete_bucket(Bucket="inspected")


async def test_a_signed_request_stores_and_reads_an_object(weed: SeaweedServer, s3_client: MakeClient) -> None:
    client, body = s3_client(weed), os.urandom(9_000_000)
    client.create_bucket(Bucket="signed")
    client.put_object(Bucket="signed", Key="a/b c", Body=body)
    assert client.get_object(Bucket="signed", Key="a/b c")["Body"].read() == body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/inspected"),
        ("GET", "/inspected/folder/object"),
        ("PUT", "/inspected/folder/object"),
        ("DELETE", "/inspected/folder/object"),
        ("PUT", "/other-bucket"),
    ],
)
@pytest.mark.usefixtures("bucket")
async def test_an_unsigned_request_is_refused(weed: SeaweedServer, method: str, path: str) -> None:
    assert await _status(method, weed.ports["s3"], path, b"intruder") == 403


async def test_a_wrong_signature_and_an_unknown_key_are_refused(weed: SeaweedServer, bucket: str) -> None:
    for access_key, secret_key in ((weed.access_key, "wrong"), ("unknown", weed.secret_key)):
        client = connect(weed.endpoint, access_key, secret_key)
        with pytest.raises(ClientError) as caught:
            client.put_object(Bucket=bucket, Key="folder/object", Body=b"intruder")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        client.close()


@pytest.mark.parametrize(
    ("server", "method", "path", "refusal"),
    [
        ("filer", "POST", "/buckets/inspected/intruder", 404),
        ("filer", "PUT", "/buckets/inspected/intruder", 404),
        ("filer", "DELETE", "/buckets/inspected/folder/object", 404),
        ("filer", "GET", "/buckets/inspected/folder/object", 404),
        ("filer", "POST", "/.tus/buckets/inspected/intruder", 404),
        ("master", "POST", "/submit", 404),
        ("master", "GET", "/dir/assign", 404),
        ("master", "GET", "/dir/lookup?volumeId=1", 404),
        ("master", "GET", "/col/delete?collection=inspected", 404),
        ("volume", "GET", "/stats/disk", 401),
    ],
)
@pytest.mark.usefixtures("bucket")
async def test_an_anonymous_request_to_an_inner_server_is_refused(
    weed: SeaweedServer, server: str, method: str, path: str, refusal: int
) -> None:
    assert await _status(method, weed.ports[server], path, _FORM, {**_FORM_TYPE, "Tus-Resumable": "1.0.0"}) == refusal


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_the_volume_server_answers_nobody_who_has_no_token_not_even_for_an_object_that_exists(
    weed: SeaweedServer, bucket: str, session_folder: Path, method: str
) -> None:
    folder = session_folder / "launched/servers/seaweedfs/volume"
    index = next(index for index in folder.glob(f"{bucket}_*.idx") if index.stat().st_size)
    # The index is 16 bytes per object: key, place, size. Any cookie will do: the token is asked for first.
    key = int.from_bytes(index.read_bytes()[:8], "big")
    volume = index.stem.rpartition("_")[2]
    assert await _status(method, weed.ports["volume"], f"/{volume},{key:x}00000000", _FORM, _FORM_TYPE) == 401


@pytest.mark.parametrize("server", ["s3-grpc", "master-grpc", "volume-grpc", "filer-grpc"])
async def test_a_grpc_port_answers_nobody_without_the_certificate(weed: SeaweedServer, server: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", weed.ports[server], ssl=context)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("server", ["s3-grpc", "master-grpc", "volume-grpc", "filer-grpc"])
async def test_a_grpc_port_answers_nothing_in_plain_text(weed: SeaweedServer, server: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", weed.ports[server])
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"h2" not in await _all(reader)
    writer.close()


async def test_it_listens_on_the_loopback_interface_and_on_the_named_ports_only(weed: SeaweedServer) -> None:
    assert _listening(weed.pids.values()) == {("127.0.0.1", port) for port in weed.ports.values()}
    assert set(weed.ports) == set(SeaweedServer.PORT_NAMES)


def test_no_socket_of_it_lies_where_others_could_reach_it(weed: SeaweedServer, session_folder: Path) -> None:
    held = {inode for pid in weed.pids.values() for inode in _socket_inodes(pid)}
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    paths = {row[7] for row in rows if row[6] in held and len(row) == 8}
    folder = session_folder / "launched/servers/seaweedfs"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert paths
    assert all(not Path(path).is_absolute() and (folder / path).is_socket() for path in paths)


async def test_root_never_runs_it(weed: SeaweedServer) -> None:
    assert {owner_of(pid) for pid in weed.pids.values()} == {server_account().uid} != {0}


async def test_it_starts_without_buckets_and_a_dozen_can_be_made_and_written(
    data_dir: Path, s3_client: MakeClient
) -> None:
    async with SeaweedServer(data_dir) as server:
        client = s3_client(server)
        assert client.list_buckets()["Buckets"] == []
        for number in range(12):
            client.create_bucket(Bucket=f"bucket-{number}")
            client.put_object(Bucket=f"bucket-{number}", Key="object", Body=b"content")
        assert len(client.list_buckets()["Buckets"]) == 12


async def test_a_missing_bucket_is_not_made_on_the_way(weed: SeaweedServer, s3_client: MakeClient) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3_client(weed).put_object(Bucket="missing", Key="object", Body=b"content")


async def test_a_bucket_with_content_cannot_be_deleted(weed: SeaweedServer, bucket: str, s3_client: MakeClient) -> None:
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3_client(weed).delete_bucket(Bucket=bucket)


async def test_it_stops_and_starts_again_with_its_objects_at_the_same_address_under_the_same_key(
    data_dir: Path, s3_client: MakeClient
) -> None:
    async with SeaweedServer(data_dir) as server:
        first = (server.endpoint, server.access_key, server.secret_key)
        s3_client(server).create_bucket(Bucket="kept")
        s3_client(server).put_object(Bucket="kept", Key="object", Body=b"content")
    async with SeaweedServer(data_dir) as server:
        assert (server.endpoint, server.access_key, server.secret_key) == first
        assert s3_client(server).get_object(Bucket="kept", Key="object")["Body"].read() == b"content"


async def test_every_object_acknowledged_before_a_kill_is_intact_after_the_restart(
    data_dir: Path, s3_client: MakeClient
) -> None:
    server = SeaweedServer(data_dir)
    await server.start()
    s3_client(server).create_bucket(Bucket="kept")
    writer = _Writer(s3_client(server))
    writer.start()
    await asyncio.to_thread(writer.enough.wait)
    await server.kill()
    await asyncio.to_thread(writer.join)
    await server.start()
    client = s3_client(server)
    for key, body in writer.acknowledged.items():
        assert client.get_object(Bucket="kept", Key=key)["Body"].read() == body, key
    # New objects get new places, none of an old one.
    client.put_object(Bucket="kept", Key="after", Body=b"after")
    first_key, first_body = next(iter(writer.acknowledged.items()))
    assert client.get_object(Bucket="kept", Key=first_key)["Body"].read() == first_body
    await server.stop()


@pytest.mark.usefixtures("weed")
async def test_a_second_store_on_the_same_data_directory_is_refused(session_folder: Path) -> None:
    data_dir = session_folder / "launched"
    with pytest.raises(DataDirectoryInUseError, match=f"data directory {data_dir} is in use"):
        await SeaweedServer(data_dir).start()


async def test_fixed_ports_are_used_and_a_taken_one_is_named(
    weed: SeaweedServer, data_dir: Path, tmp_path: Path
) -> None:
    fixed = choose_ports(("s3", "filer-grpc"), memory=tmp_path / "ports.json")
    async with SeaweedServer(data_dir, ports=fixed) as server:
        assert fixed.items() <= server.ports.items()
    with pytest.raises(PortTakenError, match=f"port {weed.ports['s3']} for seaweedfs-master"):
        await SeaweedServer(data_dir, ports={"master": weed.ports["s3"]}).start()


async def test_a_store_that_cannot_start_says_why_and_leaves_nothing_running(data_dir: Path) -> None:
    async with SeaweedServer(data_dir) as server:
        ports = dict(server.ports)
    metadata = data_dir / "servers/seaweedfs/filer/filerldb2"
    shutil.rmtree(metadata)
    metadata.write_text("not a folder")
    with pytest.raises(ServerStartError, match=r"^seaweedfs-filer did not start: .*filerldb2") as caught:
        await server.start()
    assert "\n" not in str(caught.value)
    for port in ports.values():
        socket.create_server(("127.0.0.1", port)).close()


async def test_a_server_of_the_store_that_ends_by_itself_is_noticed(data_dir: Path) -> None:
    async with SeaweedServer(data_dir) as server:
        watch = asyncio.ensure_future(server.watch())
        await asyncio.sleep(0)
        assert not watch.done()
        os.kill(server.pids["volume"], 9)
        with pytest.raises(ServerDiedError, match="seaweedfs-volume has ended by itself"):
            await watch


class _Writer(threading.Thread):
    """Puts objects of many sizes, one above the size of a chunk, until the store goes away."""

    def __init__(self, client: "S3Client") -> None:
        super().__init__()
        self._client = client
        self.acknowledged: dict[str, bytes] = {}
        self.enough = threading.Event()

    def run(self) -> None:
        try:
            for number in range(100_000):
                key, body = f"folder-{number % 7}/{number}", os.urandom((1, 900, 70_000, 5_000_000)[number % 4])
                self._client.put_object(Bucket="kept", Key=key, Body=body)
                self.acknowledged[key] = body
                if number > 100:
                    self.enough.set()
        except (BotoCoreError, ClientError):
            pass
        finally:
            self.enough.set()


async def _status(
    method: str, port: int, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}{path}", data=body, headers=headers) as response,
    ):
        return response.status


async def _all(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def _socket_inodes(pid: int) -> set[str]:
    links = (str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir())
    return {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}


def _listening(pids: Iterable[int]) -> set[tuple[str, int]]:
    held = {inode for pid in pids for inode in _socket_inodes(pid)}
    tables = (Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6"))
    rows = (line.split() for table in tables for line in table)
    return {_address(row[1]) for row in rows if row[3] == _LISTEN and row[9] in held}


def _address(hexadecimal: str) -> tuple[str, int]:
    host, _, port = hexadecimal.partition(":")
    family = socket.AF_INET if len(host) == 8 else socket.AF_INET6
    words = (int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8))
    return socket.inet_ntop(family, b"".join(words)), int(port, 16)
