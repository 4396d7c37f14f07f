"""What one process of storage-service has one of."""

from dataclasses import dataclass

from draftstore_common.access import Access
from draftstore_storage.service import StorageService


@dataclass(frozen=True, slots=True)
class Context:
    """The singletons that routes reach through `app.state.context`."""

    access: Access
    service: StorageService
