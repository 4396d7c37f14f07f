"""Settings of storage-service. Names of variables are those of the fields, in capitals."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from draftstore_common.contracts.names import check_bucket_name
from draftstore_common.kit.settings import ServiceSettings
from draftstore_storage.domain import Buckets


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    plain = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in plain or url.rstrip("/") != plain:
        raise ValueError("must be like http://host:9000, without a path")
    if parts.port == 0:  # reading the port also refuses one that is no number
        raise ValueError("must name a port between 1 and 65535")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _host(endpoint: str) -> str:
    if "/" in endpoint or not endpoint:
        raise ValueError("must be like host:9000, without http:// (MINIO_USE_SSL chooses the scheme)")
    return endpoint.lower()


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Host = Annotated[str, AfterValidator(_host)]
Bucket = Annotated[str, AfterValidator(check_bucket_name)]


class StorageSettings(ServiceSettings):
    """Which store, which buckets, which credentials, and where clients reach it."""

    http_port: int = Field(default=7881, ge=0, le=65535)
    identity_url: str = "http://127.0.0.1:7851"

    storage_type: Literal["s3", "minio"] = "s3"
    store_id: str = Field(default="default", pattern="^[a-z0-9-]{1,63}$", description="the store's name in object rows")
    bucket_name: Bucket = "main"
    draft_bucket_name: Bucket | None = Field(default=None, description="<main>-draft unless set")
    storage_public_endpoint: Endpoint | None = Field(default=None, description="where clients reach the store")
    cors_allowed_origins: Annotated[list[str], NoDecode] = Field(default=["*"], min_length=1)

    aws_region: str = "us-east-1"
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    s3_endpoint_url: Endpoint | None = Field(default=None, description="Amazon S3 in AWS_REGION unless set")
    s3_addressing_style: Literal["auto", "path", "virtual"] = "auto"

    minio_endpoint: Host = "localhost:9000"
    minio_access_key: str = "minioadmin"
    minio_secret_key: SecretStr = SecretStr("minioadmin")
    minio_use_ssl: bool = False
    minio_region: str = "us-east-1"

    @field_validator("cors_allowed_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: str | list[str]) -> list[str]:
        texts = value.split(",") if isinstance(value, str) else value
        return [text.strip() for text in texts if text.strip()]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.buckets.main == self.buckets.draft:
            raise ValueError("DRAFT_BUCKET_NAME must differ from BUCKET_NAME")
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither")
        check_bucket_name(self.buckets.draft)
        return self

    @property
    def buckets(self) -> Buckets:
        """The names of both buckets."""
        return Buckets(main=self.bucket_name, draft=self.draft_bucket_name or f"{self.bucket_name}-draft")

    @property
    def region(self) -> str:
        """The region requests are signed for."""
        return self.aws_region if self.storage_type == "s3" else self.minio_region

    @property
    def internal_endpoint(self) -> str:
        """Where this service reaches the store."""
        if self.storage_type == "minio":
            return f"{'https' if self.minio_use_ssl else 'http'}://{self.minio_endpoint}"
        return self.s3_endpoint_url or f"https://s3.{self.aws_region}.amazonaws.com"

    @property
    def public_endpoint(self) -> str:
        """Where clients reach the store: the host in every signed URL, and part of every signature."""
        return self.storage_public_endpoint or self.internal_endpoint

    @property
    def virtual_hosts(self) -> bool:
        """Whether the bucket stands in the host name. By itself only on Amazon S3, whose certificates know no dots."""
        if self.storage_type == "minio" or self.s3_addressing_style == "path":
            return False
        dotted = any("." in name for name in (self.buckets.main, self.buckets.draft))
        return self.s3_addressing_style == "virtual" or (self.s3_endpoint_url is None and not dotted)
