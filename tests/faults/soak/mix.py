"""Which stories clients live through, and how often."""

from faults.soak.scenarios import (
    Scenario,
    confirm_and_discard,
    confirm_and_expiry,
    contended_name,
    late_bytes,
    never_confirmed,
)
from faults.soak.together import bundle_and_expiry, extend_and_expiry, prepare_and_end

MIX: dict[Scenario, int] = {
    confirm_and_expiry: 66,
    contended_name: 9,
    confirm_and_discard: 5,
    never_confirmed: 4,
    late_bytes: 3,
    bundle_and_expiry: 6,
    prepare_and_end: 5,
    extend_and_expiry: 2,
}
"""Out of a hundred."""
