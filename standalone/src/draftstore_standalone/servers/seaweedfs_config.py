"""The configuration files of SeaweedFS, written anew at every start, and the command line of each of its servers.

Every file is private to the account the servers run under. The S3 identity is the one thing that is kept: clients hold
it. The keys the servers use among themselves live for one run.
"""

import datetime as dt
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from draftstore_standalone.servers.errors import DataDirectoryError
from draftstore_standalone.servers.paths import ServerHome, write_private
from draftstore_standalone.servers.ports import HOST

MASTER, VOLUME, FILER, S3 = "master", "volume", "filer", "s3"

_IDENTITY_FILE = "s3.json"
_CERTIFICATE_FILE, _KEY_FILE = "tls.pem", "tls-key.pem"
_CERTIFICATE_DAYS = 3650

# A token is checked when a request among the servers starts; room for a machine that was asleep meanwhile.
_TOKEN_SECONDS = 60

_VOLUME_SIZE_MB = 1024
# The cap is on their number, not their size, and empty ones cost nothing. Left to weed it is free disk / volume size,
# which a small disk and a dozen buckets use up ("no free volumes left"); the disk itself is guarded by minFreeSpace.
_MAX_VOLUMES = 4096

# Two volumes per bucket instead of seven, and none of the maintenance that weed suggests: it aborts multipart uploads
# after 24 h, which is DraftStore's to decide, and erasure-codes full volumes.
_MASTER_TOML = """\
[master.maintenance]
scripts = ""

[master.volume_growth]
copy_1 = 2
"""

_FILER_TOML = f"""\
[leveldb2]
enabled = true
dir = "{FILER}/filerldb2"
"""


@dataclass(frozen=True, slots=True)
class S3Identity:
    """The credentials of the one S3 user."""

    access_key: str
    secret_key: str


def write_configuration(home: ServerHome, folder: Path) -> S3Identity:
    """Write every file the servers read into `folder`, their working directory."""
    identity = _read_identity(folder) or S3Identity(secrets.token_hex(10).upper(), secrets.token_urlsafe(30))
    certificate, key = _certificate()
    files = {
        _IDENTITY_FILE: _identity_json(identity),
        _CERTIFICATE_FILE: certificate,
        _KEY_FILE: key,
        "security.toml": _security_toml(),
        "master.toml": _MASTER_TOML,
        "filer.toml": _FILER_TOML,
        # Empty, but there: weed would go on to look for them in /etc/seaweedfs.
        "credential.toml": "",
        "notification.toml": "",
        "volume.toml": "",
    }
    for name, content in files.items():
        write_private(folder / name, content, home.account)
    for name in (MASTER, VOLUME, FILER):
        if (folder / name).is_symlink():
            raise DataDirectoryError(f"{folder / name} is a link; the servers' folders never are")
        (folder / name).mkdir(mode=0o700, exist_ok=True)
        home.account.own(folder / name)
    return identity


def command_lines(weed: Path, ports: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The command line of each server, in starting order. Paths are relative to the configuration folder."""
    # The logging option: without it weed also writes to the system's folder for temporary files.
    start = (str(weed), "-logtostderr=true")
    return {
        MASTER: (*start, "master", *_master(ports)),
        VOLUME: (*start, "volume", *_volume(ports)),
        FILER: (*start, "filer", *_filer(ports)),
        S3: (*start, "s3", *_s3(ports)),
    }


def _listen(ports: Mapping[str, int], name: str) -> tuple[str, ...]:
    # The gRPC port is named because its default is port + 10000, which somebody else may hold.
    return (f"-ip.bind={HOST}", f"-port={ports[name]}", f"-port.grpc={ports[f'{name}-grpc']}")


def _address(ports: Mapping[str, int], name: str) -> str:
    return f"{HOST}:{ports[name]}.{ports[f'{name}-grpc']}"


def _master(ports: Mapping[str, int]) -> tuple[str, ...]:
    return (
        *_listen(ports, MASTER),
        f"-ip={HOST}",
        f"-mdir={MASTER}",
        "-peers=none",  # alone: leader at once instead of after an election, which saves 1 s
        "-disableHttp",
        "-telemetry=false",
        f"-volumeSizeLimitMB={_VOLUME_SIZE_MB}",
        "-volumePreallocate=false",
    )


def _volume(ports: Mapping[str, int]) -> tuple[str, ...]:
    return (
        *_listen(ports, VOLUME),
        f"-ip={HOST}",
        f"-dir={VOLUME}",
        f"-master={_address(ports, MASTER)}",
        f"-max={_MAX_VOLUMES}",
        "-preStopSeconds=0",
        "-images.fix.orientation=false",  # what is stored is what was sent
    )


def _filer(ports: Mapping[str, int]) -> tuple[str, ...]:
    return (
        *_listen(ports, FILER),
        f"-ip={HOST}",
        f"-defaultStoreDir={FILER}",
        f"-master={_address(ports, MASTER)}",
        "-disableHttp",
        "-localSocket=filer.sock",
    )


def _s3(ports: Mapping[str, int]) -> tuple[str, ...]:
    return (
        *_listen(ports, S3),
        f"-filer={_address(ports, FILER)}",
        f"-config={_IDENTITY_FILE}",
        "-port.iceberg=0",
        "-port.lance=0",
        "-iam=false",
        "-autoCreateBucket=false",  # S3 answers 404 NoSuchBucket
        "-allowDeleteBucketNotEmpty=false",  # S3 answers 409 BucketNotEmpty
        "-localSocket=s3.sock",
    )


def _read_identity(folder: Path) -> S3Identity | None:
    try:
        content = json.loads((folder / _IDENTITY_FILE).read_text())
    except FileNotFoundError:
        return None
    credentials = content["identities"][0]["credentials"][0]
    return S3Identity(credentials["accessKey"], credentials["secretKey"])


def _identity_json(identity: S3Identity) -> str:
    credentials = {"accessKey": identity.access_key, "secretKey": identity.secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "draftstore", "credentials": [credentials], "actions": actions}]})


def _security_toml() -> str:
    tokens = "\n".join(
        f'[jwt.{name}]\nkey = "{secrets.token_urlsafe(32)}"\nexpires_after_seconds = {_TOKEN_SECONDS}'
        for name in ("signing", "signing.read", "filer_signing", "filer_signing.read")
    )
    certificates = "\n".join(
        f'[grpc.{name}]\ncert = "{_CERTIFICATE_FILE}"\nkey = "{_KEY_FILE}"'
        for name in (MASTER, VOLUME, FILER, S3, "client")
    )
    return f'{tokens}\n[access]\nui = false\n[grpc]\nca = "{_CERTIFICATE_FILE}"\n{certificates}\n'


def _certificate() -> tuple[str, str]:
    """A self-signed certificate and its key: the servers trust exactly this one, as server and as client."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "draftstore-seaweedfs")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=_CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
