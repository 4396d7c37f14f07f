"""Settings: defaults, what follows from what, and wrong values stopped with their names."""

import os

import pytest
from pydantic import ValidationError

from draftstore_common.kit.settings import describe
from draftstore_storage.settings import StorageSettings

PREFIXES = ("AWS_", "S3_", "MINIO_", "STORAGE_", "BUCKET_", "DRAFT_BUCKET", "CORS_")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)


def given(monkeypatch: pytest.MonkeyPatch, **environment: str) -> StorageSettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return StorageSettings()


def test_nothing_set_means_amazon_s3_and_the_bucket_main() -> None:
    settings = StorageSettings()
    assert settings.storage_type == "s3"
    assert (settings.buckets.main, settings.buckets.draft) == ("main", "main-draft")
    assert settings.internal_endpoint == settings.public_endpoint == "https://s3.us-east-1.amazonaws.com"
    assert settings.virtual_hosts


def test_minio_has_the_defaults_of_a_fresh_minio(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, STORAGE_TYPE="minio")
    assert settings.internal_endpoint == "http://localhost:9000"
    assert (settings.minio_access_key, settings.minio_secret_key.get_secret_value()) == ("minioadmin", "minioadmin")
    assert not settings.virtual_hosts


def test_minio_takes_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(
        monkeypatch, STORAGE_TYPE="minio", MINIO_ENDPOINT="minio:9001", MINIO_USE_SSL="true", MINIO_REGION="eu-west-1"
    )
    assert settings.internal_endpoint == "https://minio:9001"
    assert settings.region == "eu-west-1"


def test_clients_may_reach_the_store_elsewhere_than_the_service_does(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, S3_ENDPOINT_URL="http://store:8333", STORAGE_PUBLIC_ENDPOINT="https://files.example/")
    assert settings.internal_endpoint == "http://store:8333"
    assert settings.public_endpoint == "https://files.example"


def test_another_store_is_addressed_by_path_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not given(monkeypatch, S3_ENDPOINT_URL="http://store:8333").virtual_hosts
    assert given(monkeypatch, S3_ADDRESSING_STYLE="virtual").virtual_hosts


def test_a_bucket_with_dots_is_addressed_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not given(monkeypatch, BUCKET_NAME="files.example.org").virtual_hosts


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, DRAFT_BUCKET_NAME="", AWS_ACCESS_KEY_ID="").buckets.draft == "main-draft"


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, CORS_ALLOWED_ORIGINS="https://a.example, https://b.example")
    assert settings.cors_allowed_origins == ["https://a.example", "https://b.example"]


def test_secrets_do_not_show() -> None:
    settings = StorageSettings(aws_access_key_id="AK", aws_secret_access_key="do-not-show")
    assert "do-not-show" not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"STORAGE_TYPE": "tape"}, "STORAGE_TYPE"),
        ({"BUCKET_NAME": "Main Bucket"}, "BUCKET_NAME"),
        ({"BUCKET_NAME": "b" * 60}, "bucket"),
        ({"DRAFT_BUCKET_NAME": "main"}, "DRAFT_BUCKET_NAME"),
        ({"S3_ENDPOINT_URL": "store:8333"}, "S3_ENDPOINT_URL"),
        ({"S3_ENDPOINT_URL": "http://store:8333/path"}, "S3_ENDPOINT_URL"),
        ({"S3_ENDPOINT_URL": "http://user:password@store"}, "S3_ENDPOINT_URL"),
        ({"S3_ENDPOINT_URL": "http://store:port"}, "S3_ENDPOINT_URL"),
        ({"STORAGE_PUBLIC_ENDPOINT": "https://store?query"}, "STORAGE_PUBLIC_ENDPOINT"),
        ({"S3_ADDRESSING_STYLE": "sideways"}, "S3_ADDRESSING_STYLE"),
        ({"AWS_ACCESS_KEY_ID": "AK"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": "secret"}, "AWS_ACCESS_KEY_ID"),
        ({"MINIO_ENDPOINT": "http://minio:9000"}, "MINIO_ENDPOINT"),
        ({"CORS_ALLOWED_ORIGINS": " , "}, "CORS_ALLOWED_ORIGINS"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        given(monkeypatch, **environment)
    assert named in describe(refused.value)
