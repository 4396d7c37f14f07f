"""Settings of the cleaner. Durations are seconds."""

from pydantic import Field, SecretStr

from draftstore_common.kit.settings import CommandSettings


class CleanerSettings(CommandSettings):
    """Where the services are, and the brakes of a run."""

    identity_url: str = "http://127.0.0.1:7851"
    metadata_url: str = "http://127.0.0.1:7891"
    storage_url: str = "http://127.0.0.1:7881"
    service_key: SecretStr = Field(description="proves to identity that this is the cleaner")

    cleaner_interval: int = Field(default=300, ge=1, description="pause between the runs of `loop`")
    cleaner_max_items: int = Field(default=1_000_000, ge=1, description="a run stops after so many deletions")
    cleaner_max_clock_skew: int = Field(default=300, ge=1, description="stop when the store's clock differs more")

    reconcile_max_keys: int = Field(default=1_000_000, ge=1, description="a reconcile stops after so many keys")
    reconcile_max_seconds: int = Field(default=3600, ge=1, description="a reconcile stops after so long")
    reconcile_min_age: int = Field(default=3600, ge=0, description="bytes that landed later are left alone")
