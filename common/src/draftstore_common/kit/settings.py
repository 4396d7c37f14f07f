"""Settings from the environment: typed, frozen, and stopped at the door with one clear line when wrong."""

import sys
from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

Settings = TypeVar("Settings", bound=BaseSettings)


class CommandSettings(BaseSettings):
    """What every program can be told. An empty variable counts as unset."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")


class ServiceSettings(CommandSettings):
    """What every service that listens can be told."""

    http_host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 in a container")
    shutdown_grace: int = Field(default=20, ge=0, description="seconds that requests under way get at SIGTERM")
    drain_delay: int = Field(
        default=5, ge=0, description="seconds after SIGTERM in which new connections are still taken, though not ready"
    )


def load(settings: type[Settings]) -> Settings:
    """Read settings from the environment; exit with status 2 and one line naming every wrong variable."""
    try:
        return settings()
    except ValidationError as error:
        sys.stderr.write(f"{describe(error)}\n")
        raise SystemExit(2) from None


def describe(error: ValidationError) -> str:
    """Wrong settings in one line, by the names of their variables, without their values."""
    wrong = (f"{'_'.join(str(part) for part in e['loc']).upper()}: {e['msg']}" for e in error.errors())
    return "Cannot start, settings are wrong: " + "; ".join(wrong)
