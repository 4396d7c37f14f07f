"""Settings of draft-service. Durations are seconds."""

from pydantic import Field, SecretStr

from draftstore_common.contracts.drafts import MAX_DRAFT_TTL, MIN_DRAFT_TTL
from draftstore_common.kit.settings import ServiceSettings


class DraftSettings(ServiceSettings):
    """How long things live, and where the other services are."""

    http_port: int = Field(default=7861, ge=0, le=65535)
    identity_url: str = "http://127.0.0.1:7851"
    metadata_url: str = "http://127.0.0.1:7891"
    storage_url: str = "http://127.0.0.1:7881"
    service_key: SecretStr = Field(description="proves to identity that this is draft-service")

    upload_ttl: int = Field(default=3600, ge=1, le=MAX_DRAFT_TTL, description="life of an upload URL")
    download_ttl: int = Field(default=3600, ge=1, le=604_800, description="life of a download URL")
    object_lifetime: int = Field(
        default=86_400, ge=MIN_DRAFT_TTL, le=MAX_DRAFT_TTL, description="default life of a draft; objects never expire"
    )
    max_draft_lifetime: int = Field(
        default=MAX_DRAFT_TTL, ge=MIN_DRAFT_TTL, le=MAX_DRAFT_TTL, description="no draft lives longer, however extended"
    )
    tend_interval: float = Field(
        default=5.0, ge=0.1, le=3600, description="pause between looks for dead confirm attempts and expiring drafts"
    )
    confirm_lease: int = Field(default=60, ge=5, le=3600, description="how long a confirm attempt holds unless renewed")
    confirm_wait: float = Field(default=10.0, ge=0, le=60, description="how long a repeat waits for another's receipt")
    access_audit_sample: int = Field(
        default=100, ge=1, description="of reads by tenants whose access_audit is sampled, one in so many is on record"
    )
