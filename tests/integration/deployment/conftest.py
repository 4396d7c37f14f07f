"""What the deployment's files make, made once: an environment file, and images in rehearsal."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.compose import ROOT
from support.dockerfile import Rehearsal
from support.wheelhouse import wheelhouse

MAKE_ENV = ROOT / "deployment" / "make-env.sh"


@pytest.fixture(scope="session")
def images(session_folder: Path) -> Iterator[Rehearsal]:
    """The images of deployment/Dockerfile, built when first asked for, from wheels that pip finds without a network."""
    wheels = wheelhouse(session_folder).others
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_COMPILE": "1", "PIP_NO_CACHE_DIR": "1"}
    workspace = session_folder / "images"
    yield Rehearsal(ROOT, ROOT / "deployment" / "Dockerfile", workspace, pip)
    shutil.rmtree(workspace)


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The variables in a file that deployment/make-env.sh just made."""
    file = tmp_path_factory.mktemp("environment") / ".env"
    subprocess.run([MAKE_ENV, file], check=True)
    lines = (line for line in file.read_text().splitlines() if not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)
