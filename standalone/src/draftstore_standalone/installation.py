"""What one run of standalone is about."""

from dataclasses import dataclass

from draftstore_standalone.keys import KeyFiles
from draftstore_standalone.settings import StandaloneSettings
from draftstore_standalone.tour import Say


@dataclass(frozen=True, slots=True)
class Installation:
    """One data directory and what it is run with."""

    settings: StandaloneSettings
    say: Say

    @property
    def keys(self) -> KeyFiles:
        """The files of its API keys."""
        return KeyFiles.under(self.settings.data_dir)

    @property
    def gateway_url(self) -> str:
        """Where the gateway is reached from this machine."""
        host = "127.0.0.1" if self.settings.http_host == "0.0.0.0" else self.settings.http_host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.settings.http_port}"
