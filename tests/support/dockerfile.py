"""A rehearsal of `docker build`: the stages of a Dockerfile, carried out in folders of this machine.

What Docker would give a stage it gets here: only the files of the context that .dockerignore lets through, only the
environment the Dockerfile sets, and for the base image a clean Python with pip. An absolute path stands for the same
path below the folder of its stage, so every stage sees its own files.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from docker.utils.build import exclude_paths  # type: ignore[import-untyped]

_ABSOLUTE = re.compile(r"(?<![\w./-])/(?=[a-z])")
_MACHINE_PATH = "/usr/bin:/bin"


@dataclass(frozen=True)
class Instruction:
    """`RUN --mount=… pip install`: keyword, flags and the rest."""

    keyword: str
    flags: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Stage:
    """What stands between two FROMs."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Image:
    """A stage that was carried out: its files below `root`, and how a container of it starts and stops."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"

    def inside(self, text: str) -> str:
        """A text whose absolute paths lie in this image."""
        return _ABSOLUTE.sub(f"{self.root}/", text)


def parse(dockerfile: Path) -> dict[str, Stage]:
    """The stages by name, in their order."""
    stages: dict[str, Stage] = {}
    for instruction in _instructions(dockerfile.read_text()):
        if instruction.keyword == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            stages[name] = Stage(name, base, ())
        else:
            name, stage = stages.popitem()
            stages[name] = replace(stage, instructions=(*stage.instructions, instruction))
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, rest = line.split(maxsplit=1)
        flags = re.match(r"(?:--\S+\s+)*", rest)
        assert flags is not None
        pairs = (flag.removeprefix("--").partition("=") for flag in flags[0].split())
        yield Instruction(keyword, {name: value for name, _, value in pairs}, rest[flags.end() :].strip())


class Rehearsal:
    """Builds targets of one Dockerfile, every stage once."""

    def __init__(self, context: Path, dockerfile: Path, workspace: Path, pip: Mapping[str, str]) -> None:
        """Nothing is built yet. `pip` is the environment that tells pip where wheels are, as a mirror would be told."""
        self.stages = parse(dockerfile)
        self.context = workspace / "context"
        self._workspace = workspace
        self.pip = dict(pip)
        self._images: dict[str, Image] = {}
        _copy_context(context, self.context)

    def build(self, target: str) -> Image:
        """The image of a target; raises what a failing instruction raises."""
        if target not in self._images:
            stage = self.stages[target]
            image = self._started(stage)
            for instruction in stage.instructions:
                image = self._carried_out(instruction, image)
            self._images[target] = image
        return self._images[target]

    def _started(self, stage: Stage) -> Image:
        root = self._workspace / stage.name
        if stage.base in self.stages:
            base = self.build(stage.base)
            _copy_tree(base.root, root)
            return replace(base, root=root, environment=_moved(base, root))
        return _python_image(root)

    def _carried_out(self, instruction: Instruction, image: Image) -> Image:
        match instruction.keyword:
            case "WORKDIR":
                Path(image.inside(instruction.text)).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(instruction, image)
            case "RUN":
                self._run(instruction.text, image)
        return _described(instruction, image)

    def _copy(self, instruction: Instruction, image: Image) -> None:
        *sources, target = instruction.text.split()
        stage = instruction.flags.get("from")
        origin = self.build(stage).root if stage else self.context
        for source in sources:
            _copy_one(origin / source.lstrip("/"), Path(image.inside(image.directory), image.inside(target)), target)

    def _run(self, command: str, image: Image) -> None:
        directory = image.inside(image.directory)
        environment = {**self.pip, **image.environment, "HOME": str(image.root)}
        done = subprocess.run(
            ["/bin/sh", "-c", image.inside(command)],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {command}\n{done.stdout}\n{done.stderr}"


def _described(instruction: Instruction, image: Image) -> Image:
    """What an instruction says of the containers to be."""
    text = instruction.text
    match instruction.keyword:
        case "ENV":
            return replace(image, environment={**image.environment, **_assignments(text, image)})
        case "WORKDIR":
            return replace(image, directory=text)
        case "USER":
            return replace(image, user=text)
        case "ENTRYPOINT":
            return replace(image, entrypoint=tuple(json.loads(text)))
        case "STOPSIGNAL":
            return replace(image, stop_signal=text)
        case "COPY" | "RUN" | "EXPOSE":
            return image
        case other:
            raise NotImplementedError(f"the rehearsal knows no {other}")


def _moved(base: Image, root: Path) -> dict[str, str]:
    return {name: value.replace(f"{base.root}/", f"{root}/") for name, value in base.environment.items()}


def _assignments(text: str, image: Image) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split())
    return {name: Template(image.inside(value)).safe_substitute(image.environment) for name, _, value in pairs}


def _copy_context(source: Path, target: Path) -> None:
    patterns = [line for line in (source / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    for name in sorted(exclude_paths(str(source), [*patterns])):
        if (source / name).is_file() and name != "Dockerfile":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def _copy_one(source: Path, target: Path, written: str) -> None:
    if source.is_dir():
        _copy_tree(source, target)
    else:
        target = target / source.name if written.endswith("/") else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _copy_tree(source: Path, target: Path) -> None:
    """As layers are: the same bytes, once on the disk. Nothing here changes a file in place."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=os.link)


def _python_image(root: Path) -> Image:
    """What python:3.11-slim holds, as far as we use it: a Python of its own with the pip that came with it."""
    local = root / "usr" / "local"
    subprocess.run([sys.executable, "-m", "venv", local], check=True)
    for name in ("pip", "pip3"):
        # The script that venv makes names its Python by a path that a copy of this folder would not have.
        (local / "bin" / name).write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n')
    return Image(root, {"PATH": f"{local}/bin:{_MACHINE_PATH}"})
