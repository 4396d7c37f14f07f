"""What one process of metadata-service holds."""

from dataclasses import dataclass

from draftstore_common.access import Access
from draftstore_metadata.claiming import ClaimService
from draftstore_metadata.service import DraftService, EventService, ObjectService
from draftstore_metadata.store.claims import ClaimStore
from draftstore_metadata.store.due import DueStore
from draftstore_metadata.store.holds import HoldStore
from draftstore_metadata.store.keys import KeyStore
from draftstore_metadata.store.publish import PublishStore
from draftstore_metadata.store.reconcile import ReconcileStore
from draftstore_metadata.store.tend import TendStore


@dataclass(frozen=True, slots=True)
class Context:
    """Process singletons, made once in the application's lifespan."""

    access: Access
    drafts: DraftService
    claiming: ClaimService
    claims: ClaimStore
    keys: KeyStore
    publications: PublishStore
    holds: HoldStore
    objects: ObjectService
    events: EventService
    tending: TendStore
    due: DueStore
    reconcile: ReconcileStore
