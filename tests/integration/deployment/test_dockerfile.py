"""Rules deployment/Dockerfile keeps, and a rehearsal of what it installs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import compose
from support.dockerfile import Image, Rehearsal, parse
from support.wheelhouse import ROOT, VERSIONS

DOCKERFILE = ROOT / "deployment" / "Dockerfile"
STAGES = parse(DOCKERFILE)

PACKAGES = {
    "identity": {"draftstore_identity"},
    "metadata-service": {"draftstore_metadata"},
    "storage-service": {"draftstore_storage"},
    "draft-service": {"draftstore_drafts"},
    "gateway": {"draftstore_gateway"},
    "cleaner": {"draftstore_cleaner"},
    "migrate": {"draftstore_identity", "draftstore_metadata"},
}
SERVERS = sorted(PACKAGES.keys() - {"cleaner", "migrate"})


def _hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    binary = Path(sys.executable).with_name("hadolint")
    return subprocess.run(
        [binary, "--no-color", "--config", DOCKERFILE.with_name("hadolint.yaml"), file],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_linter_finds_nothing() -> None:
    checked = _hadolint(DOCKERFILE)
    assert checked.returncode == 0, checked.stdout


def test_the_linter_finds_a_base_image_without_a_version(tmp_path: Path) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text(re.sub(r"^FROM python:\S+", "FROM python", DOCKERFILE.read_text(), flags=re.MULTILINE))
    assert "DL3006" in _hadolint(broken).stdout


def test_there_is_a_target_for_every_image_of_the_compose_file() -> None:
    built = {s["build"]["target"] for s in compose.raw()["services"].values() if compose.is_ours(s)}
    assert built == PACKAGES.keys() <= STAGES.keys()


def test_every_stage_stands_on_one_pinned_image() -> None:
    assert {stage.base for stage in STAGES.values() if stage.base not in STAGES} == {"python:3.11.15-slim-trixie"}


def test_the_builder_sees_packages_and_the_lock_only(images: Rehearsal) -> None:
    folders = {path.parent.name for path in ROOT.glob("*/pyproject.toml")} - {"standalone"}
    seen = {path.name for path in images.context.iterdir()}
    assert seen == {*folders, "requirements.lock", ".dockerignore"}
    names = {path.name for path in images.context.rglob("*")}
    assert not {name for name in names if name in {"build", "__pycache__", ".env"} or name.endswith(".egg-info")}


@pytest.fixture(params=sorted(PACKAGES))
def target(request: pytest.FixtureRequest) -> str:
    """A target of the Dockerfile."""
    return str(request.param)


@pytest.fixture
def image(images: Rehearsal, target: str) -> Image:
    """Its image."""
    return images.build(target)


def _run(image: Image, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**image.environment, **more}
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)


def test_an_image_holds_the_package_of_its_service_and_common_only(image: Image, target: str) -> None:
    found = {path.name for path in image.root.rglob("draftstore_*") if path.is_dir() and path.suffix != ".dist-info"}
    assert found == PACKAGES[target] | {"draftstore_common"}


def test_an_image_holds_neither_sources_nor_tools_to_build_with(image: Image) -> None:
    assert sorted(path.name for path in image.root.iterdir()) == ["opt", "usr"]
    installed = {path.name.partition("-")[0] for path in image.root.glob("opt/**/*.dist-info")}
    assert not installed & {"pip", "setuptools", "wheel"}


def test_an_image_holds_the_versions_of_the_lock(image: Image) -> None:
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines())
    installed = json.loads(_run(image, "python", "-c", VERSIONS).stdout)
    others = {name: version for name, version in installed.items() if not name.startswith("draftstore-")}
    assert len(others) > 10
    assert others.items() <= locked.items()


def test_a_container_does_not_run_as_root(image: Image) -> None:
    user, _, group = image.user.partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000


def test_a_wrong_setting_stops_a_container_with_one_line(image: Image) -> None:
    """Reaching the settings takes every import of the program."""
    ended = _run(image, *image.entrypoint, LOG_LEVEL="LOUD")
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "LOG_LEVEL" in ended.stderr


def test_output_is_not_held_back(image: Image) -> None:
    assert image.environment["PYTHONUNBUFFERED"] == "1"


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_listens_where_other_containers_reach_it(images: Rehearsal, name: str) -> None:
    assert images.build(name).environment["HTTP_HOST"] == "0.0.0.0"  # noqa: S104  that is the promise
    exposed = [i.text for i in STAGES[name].instructions if i.keyword == "EXPOSE"]
    assert exposed == [str(compose.raw()["services"][name]["environment"]["HTTP_PORT"])]


def test_a_file_that_is_not_copied_is_missed(session_folder: Path, tmp_path: Path, images: Rehearsal) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text(DOCKERFILE.read_text().replace("COPY cleaner cleaner\n", ""))
    workspace = session_folder / "broken-images"
    with pytest.raises(AssertionError, match=r"RUN .*\./cleaner"):
        Rehearsal(ROOT, broken, workspace, images.pip).build("build-cleaner")
