"""What one process of metadata-service holds."""

from dataclasses import dataclass

from draftstore_common.access import Access
from draftstore_metadata.service import DraftService, ObjectService
from draftstore_metadata.store.confirm import ConfirmStore
from draftstore_metadata.store.due import DueStore
from draftstore_metadata.store.reconcile import ReconcileStore


@dataclass(frozen=True, slots=True)
class Context:
    """Process singletons, made once in the application's lifespan."""

    access: Access
    drafts: DraftService
    confirms: ConfirmStore
    objects: ObjectService
    due: DueStore
    reconcile: ReconcileStore
