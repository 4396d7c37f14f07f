"""Rules docker-compose.yml keeps."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic_settings import BaseSettings

from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.kit.settings import ServiceSettings
from draftstore_drafts.attempt import GIVE_BACK_TIMEOUT
from draftstore_drafts.settings import DraftSettings
from draftstore_gateway.settings import GatewaySettings
from draftstore_identity.settings import IdentitySettings
from draftstore_identity.settings import MigrationSettings as IdentityMigrationSettings
from draftstore_metadata.settings import MetadataSettings
from draftstore_metadata.settings import MigrationSettings as MetadataMigrationSettings
from draftstore_storage.settings import StorageSettings
from support import compose

Services = dict[str, dict[str, Any]]

READ_BY: dict[str, tuple[type[BaseSettings], ...]] = {
    "gateway": (GatewaySettings,),
    "identity": (IdentitySettings,),
    "draft-service": (DraftSettings,),
    "metadata-service": (MetadataSettings,),
    "storage-service": (StorageSettings,),
    "cleaner": (CleanerSettings,),
    "migrate": (IdentityMigrationSettings, MetadataMigrationSettings),
}

NAMES = sorted(compose.raw()["services"])
SERVERS = ["postgres", "minio", "redis"]


@pytest.fixture
def services(variables: Mapping[str, str]) -> Services:
    """The services as they run with a fresh environment file."""
    return compose.services(variables)


def _schema_check(file: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *arguments], capture_output=True, text=True, check=False
    )


def test_the_file_follows_the_compose_specification() -> None:
    checked = _schema_check(compose.FILE)
    assert checked.returncode == 0, checked.stdout


def test_the_schema_finds_a_misspelt_key(tmp_path: Path) -> None:
    content = compose.raw()
    content["services"]["gateway"]["healtcheck"] = content["services"]["gateway"].pop("healthcheck")
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(yaml.safe_dump(content))
    assert _schema_check(broken).returncode != 0


def test_every_service_of_ours_and_every_server_is_there(services: Services) -> None:
    assert sorted(services) == sorted([*READ_BY, *SERVERS])


def test_only_the_gateway_and_the_store_are_published_and_on_this_machine_only(services: Services) -> None:
    published = {(name, port) for name, service in services.items() for port in service.get("ports", [])}
    assert published == {
        ("gateway", "127.0.0.1:8080:8080"),
        ("minio", "127.0.0.1:9000:9000"),
        ("minio", "127.0.0.1:9001:9001"),
    }
    assert all(service.get("network_mode") is None for service in services.values())


def test_published_addresses_can_be_chosen(variables: Mapping[str, str]) -> None:
    chosen = {"PUBLISH_ADDRESS": "192.0.2.7", "HTTP_PORT": "80", "STORE_PORT": "81", "STORE_CONSOLE_PORT": "82"}
    services = compose.services({**variables, **chosen})
    assert services["gateway"]["ports"] == ["192.0.2.7:80:8080"]
    assert services["minio"]["ports"] == ["192.0.2.7:81:9000", "192.0.2.7:82:9001"]
    assert services["storage-service"]["environment"]["STORAGE_PUBLIC_ENDPOINT"] == "http://localhost:81"


@pytest.mark.parametrize("name", SERVERS)
def test_images_of_others_are_pinned_to_a_release(services: Services, name: str) -> None:
    _, _, tag = services[name]["image"].partition(":")
    assert re.match(r"\d+\.\d+|RELEASE\.\d{4}-\d{2}-\d{2}T", tag), tag


def test_postgresql_is_15_or_newer(services: Services) -> None:
    assert int(services["postgres"]["image"].removeprefix("postgres:").partition(".")[0]) >= 15


@pytest.mark.parametrize("name", READ_BY)
def test_an_image_of_ours_is_named_after_its_service(services: Services, name: str) -> None:
    assert services[name]["image"] == f"draftstore/{name}:local"
    assert services[name]["build"] == {"context": ".", "dockerfile": "deployment/Dockerfile", "target": name}


@pytest.mark.parametrize("name", READ_BY)
def test_a_service_gets_what_it_needs_and_nothing_it_does_not_know(
    services: Services, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = compose.environment_of(services[name])
    for known in READ_BY[name]:
        assert {variable.lower() for variable in given} <= known.model_fields.keys()
        for variable in known.model_fields:
            monkeypatch.delenv(variable.upper(), raising=False)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    for known in READ_BY[name]:
        known()


@pytest.mark.parametrize("name", NAMES)
def test_a_service_shares_a_network_with_whatever_it_calls_and_starts_after_it(services: Services, name: str) -> None:
    for called in _called_by(services[name], services):
        assert set(services[name]["networks"]) & set(services[called]["networks"]), called
        assert called in compose.all_dependencies(services, name), called


def _called_by(service: Mapping[str, Any], services: Services) -> set[str]:
    hosts = {_host(value) for value in compose.environment_of(service).values()}
    return {host for host in hosts if host in services}


def _host(value: str) -> str | None:
    return urlsplit(value if "://" in value else f"//{value}").hostname if ":" in value else None


def test_every_address_names_the_port_its_service_listens_on(services: Services) -> None:
    listening = {name: compose.environment_of(service).get("HTTP_PORT") for name, service in services.items()}
    listening |= {"postgres": "5432", "minio": "9000", "redis": "6379"}
    for service in services.values():
        for value in compose.environment_of(service).values():
            if _host(value) in services:
                parts = urlsplit(value if "://" in value else f"//{value}")
                assert str(parts.port) == listening[str(parts.hostname)], value


def test_the_servers_are_out_of_reach_for_whom_they_do_not_concern(services: Services) -> None:
    reach = {
        server: {name for name in services if set(services[name]["networks"]) & set(services[server]["networks"])}
        for server in SERVERS
    }
    assert reach["postgres"] == {"postgres", "identity", "metadata-service", "migrate"}
    assert reach["redis"] == {"redis", "gateway"}
    assert reach["minio"] == {"minio", "storage-service"}
    internal = {name: (network or {}).get("internal", False) for name, network in compose.raw()["networks"].items()}
    assert [name for name, closed in internal.items() if not closed] == ["edge", "store-edge"]


@pytest.mark.parametrize("name", NAMES)
def test_a_dependency_is_waited_for_until_it_is_of_use(services: Services, name: str) -> None:
    for dependency, wanted in services[name].get("depends_on", {}).items():
        ends = "healthcheck" not in services[dependency]
        expected = "service_completed_successfully" if ends else "service_healthy"
        assert wanted == {"condition": expected}, dependency


def test_everything_that_stays_up_has_a_health_check(services: Services) -> None:
    assert [name for name, service in services.items() if "healthcheck" not in service] == ["migrate"]


@pytest.mark.parametrize("name", NAMES)
def test_a_container_has_no_more_rights_than_it_needs(services: Services, name: str) -> None:
    service = services[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys()
    assert service.get("read_only", False) is (name != "minio")
    assert compose.is_ours(service) or name == "minio" or service["user"].split(":")[0] not in {"", "0", "root"}


@pytest.mark.parametrize("name", NAMES)
def test_a_container_comes_back_after_a_crash(services: Services, name: str) -> None:
    assert services[name]["restart"] == ("no" if name == "migrate" else "unless-stopped")


@pytest.mark.parametrize("name", READ_BY)
def test_requests_under_way_and_then_confirms_nobody_waits_for_may_end_before_docker_kills(
    services: Services, name: str
) -> None:
    grace = float(services[name]["stop_grace_period"].removesuffix("s"))
    for known in READ_BY[name]:
        if issubclass(known, ServiceSettings):
            delay, shutdown = (known.model_fields[name].default for name in ("drain_delay", "shutdown_grace"))
            assert grace > delay + 2 * shutdown + GIVE_BACK_TIMEOUT


def test_data_lies_in_named_volumes(services: Services) -> None:
    mounts = {volume for service in services.values() for volume in service.get("volumes", [])}
    assert mounts == {"postgres:/var/lib/postgresql", "minio:/data"}
    assert {mount.partition(":")[0] for mount in mounts} == compose.raw()["volumes"].keys()


def test_postgresql_is_made_with_the_user_and_the_database_the_services_use(services: Services) -> None:
    made = compose.environment_of(services["postgres"])
    for name in ("identity", "metadata-service", "migrate"):
        url = urlsplit(compose.environment_of(services[name])["DATABASE_URL"])
        used = url.username, url.password, url.path.lstrip("/")
        assert used == (made["POSTGRES_USER"], made["POSTGRES_PASSWORD"], made["POSTGRES_DB"])


def test_the_store_is_made_with_the_credentials_storage_service_uses(services: Services) -> None:
    made, used = (compose.environment_of(services[name]) for name in ("minio", "storage-service"))
    assert made["MINIO_ROOT_USER"] == used["MINIO_ACCESS_KEY"]
    assert made["MINIO_ROOT_PASSWORD"] == used["MINIO_SECRET_KEY"]
    assert used["STORAGE_PUBLIC_ENDPOINT"] == "http://localhost:9000"


def test_every_variable_is_made_by_the_script_or_has_a_default(variables: Mapping[str, str]) -> None:
    used = list(compose.variables(compose.FILE.read_text()))
    assert {name for name, operator, _ in used if operator == ":?"} == variables.keys()
    assert {operator for _, operator, _ in used} == {":?", ":-"}


def test_no_secret_has_a_default(variables: Mapping[str, str]) -> None:
    defaulted = {name for name, operator, _ in compose.variables(compose.FILE.read_text()) if operator == ":-"}
    assert not defaulted & variables.keys()


@pytest.mark.parametrize("missing", ["POSTGRES_PASSWORD", "MINIO_ROOT_USER", "GATEWAY_SERVICE_KEY", "SERVICE_KEYS"])
def test_a_missing_secret_stops_compose_with_what_to_do(variables: Mapping[str, str], missing: str) -> None:
    for value in ({}, {missing: ""}):
        rest = {name: given for name, given in variables.items() if name != missing}
        with pytest.raises(compose.MissingVariableError, match=r"run deployment/make-env\.sh first"):
            compose.services({**rest, **value})
