"""What one process of draft-service holds."""

from dataclasses import dataclass

from draftstore_common.access import Access
from draftstore_drafts.accesses import Accesses
from draftstore_drafts.batch import BatchService
from draftstore_drafts.by_name import ByNameService
from draftstore_drafts.confirmations import ConfirmationService
from draftstore_drafts.events import EventService
from draftstore_drafts.objects import ObjectService
from draftstore_drafts.service import DraftService


@dataclass(frozen=True, slots=True)
class Context:
    """Process singletons, made once in the application's lifespan."""

    access: Access
    accesses: Accesses
    drafts: DraftService
    batches: BatchService
    confirmations: ConfirmationService
    events: EventService
    by_name: ByNameService
    objects: ObjectService
