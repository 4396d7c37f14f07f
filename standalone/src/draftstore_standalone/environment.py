"""The settings of every service, looked at before anything is started."""

from pydantic import SecretStr, ValidationError

from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.contracts.identity import ServiceName
from draftstore_common.kit.errors import CannotStart
from draftstore_common.kit.settings import describe
from draftstore_drafts.settings import DraftSettings
from draftstore_gateway.settings import GatewaySettings
from draftstore_identity.settings import IdentitySettings
from draftstore_metadata.settings import MetadataSettings
from draftstore_storage.settings import StorageSettings


def check_environment() -> None:
    """Raise `CannotStart` naming what is wrong in the settings of a service.

    What standalone gives the services itself is made up here.
    """
    url, key = SecretStr("postgresql://"), SecretStr("-")
    try:
        IdentitySettings(database_url=url, service_keys={"0" * 64: ServiceName.CLEANER}, admin_api_key=None)
        MetadataSettings(database_url=url)
        StorageSettings()
        DraftSettings(service_key=key)
        GatewaySettings(service_key=key)
        CleanerSettings(service_key=key)
    except ValidationError as error:
        raise CannotStart(describe(error)) from None
