"""What a key may do, and what it may give away."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from draftstore_common.contracts.administration import Key, KeyCreate, KeyPatch, Tenant, TenantStatus
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Scope
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.ids import uuid7
from draftstore_identity import domain
from draftstore_identity.domain import Credential

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def a_tenant(status: TenantStatus) -> Tenant:
    """The default tenant."""
    return Tenant(
        id=DEFAULT_TENANT_ID, name="default", status=status, rate_limits=[], access_audit="sampled", created_at=NOW
    )


def a_key(**more: Any) -> Key:
    """A living data key that may issue keys."""
    values: dict[str, Any] = {
        "id": uuid7(),
        "lineage": uuid7(),
        "rotated_from": None,
        "tenant_id": DEFAULT_TENANT_ID,
        "name": "a key",
        "kind": "data",
        "prefix": "ds_live_abcd",
        "last4": "wxyz",
        "scopes": ["keys:admin", "drafts:read"],
        "rate_limits": None,
        "cidrs": [],
        "name_prefixes": [],
        "enabled": True,
        "created_at": NOW,
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
    }
    return Key.model_validate(values | more)


def wanted(**more: Any) -> KeyCreate:
    """What a caller asks for."""
    return KeyCreate.model_validate({"name": "child", "scopes": ["drafts:read"], **more})


def grant_code(actor: Key, ask: KeyCreate) -> str | None:
    """The code a grant is refused with, and the field it names; None if it is allowed."""
    try:
        domain.check_grant(actor, ask)
    except Problem as problem:
        return f"{problem.code} {problem.detail.split(':')[0]}"
    return None


def limits(*pairs: tuple[int, int]) -> list[dict[str, int]]:
    """Rate limits from (amount, seconds)."""
    return [{"amount": amount, "seconds": seconds} for amount, seconds in pairs]


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        ({}, {}),
        ({}, {"scopes": ["keys:admin", "drafts:read"]}),
        ({}, {"name_prefixes": ["a/"], "cidrs": ["10.0.0.0/8"], "expires_at": LATER}),
        ({"name_prefixes": ["a/", "b/"]}, {"name_prefixes": ["a/x/", "b/"]}),
        ({"cidrs": ["10.0.0.0/8", "2001:db8::/32"]}, {"cidrs": ["10.1.0.0/16", "2001:db8:1::/48"]}),
        ({"expires_at": LATER}, {"expires_at": LATER}),
        ({"rate_limits": []}, {"rate_limits": None}),
        ({"rate_limits": []}, {"rate_limits": limits((9, 1))}),
        ({"rate_limits": limits((10, 60))}, {"rate_limits": limits((10, 60))}),
        ({"rate_limits": limits((10, 60))}, {"rate_limits": limits((9, 120), (100, 1))}),
    ],
)
def test_a_data_key_grants_its_own_powers_or_less(own: dict[str, Any], asked: dict[str, Any]) -> None:
    assert grant_code(a_key(**own), wanted(**asked)) is None


@pytest.mark.parametrize(
    ("own", "asked", "field"),
    [
        ({}, {"scopes": ["drafts:write"]}, "scopes"),
        ({"name_prefixes": ["a/"]}, {}, "name_prefixes"),
        ({"name_prefixes": ["a/"]}, {"name_prefixes": ["a/", "b/"]}, "name_prefixes"),
        ({"name_prefixes": ["a/"]}, {"name_prefixes": ["a"]}, "name_prefixes"),
        ({"cidrs": ["10.0.0.0/8"]}, {}, "cidrs"),
        ({"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["0.0.0.0/0"]}, "cidrs"),
        ({"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["10.1.0.0/16", "::/0"]}, "cidrs"),
        ({"expires_at": LATER}, {}, "expires_at"),
        ({"expires_at": LATER}, {"expires_at": LATER + timedelta(seconds=1)}, "expires_at"),
        ({}, {"rate_limits": []}, "rate_limits"),
        ({}, {"rate_limits": limits((1, 60))}, "rate_limits"),
        ({"rate_limits": limits((10, 60))}, {}, "rate_limits"),
        ({"rate_limits": limits((10, 60))}, {"rate_limits": []}, "rate_limits"),
        ({"rate_limits": limits((10, 60))}, {"rate_limits": limits((11, 60))}, "rate_limits"),
        ({"rate_limits": limits((10, 60))}, {"rate_limits": limits((10, 59))}, "rate_limits"),
        ({"rate_limits": limits((10, 60), (50, 3600))}, {"rate_limits": limits((10, 60))}, "rate_limits"),
    ],
)
def test_a_data_key_grants_nothing_it_does_not_have(own: dict[str, Any], asked: dict[str, Any], field: str) -> None:
    assert grant_code(a_key(**own), wanted(**asked)) == f"grant_exceeds_own {field}"


def test_no_data_key_brings_about_an_admin_key() -> None:
    with pytest.raises(Problem) as refused:
        domain.check_grant(a_key(), domain.grant_of(a_key(kind="admin", scopes=[])), "admin")
    assert refused.value.code == "wrong_key_kind"


def test_a_grant_is_all_that_a_key_may_do() -> None:
    key = a_key(cidrs=["10.0.0.0/8"], name_prefixes=["a/"], expires_at=LATER, rate_limits=limits((1, 2)))
    domain.check_grant(key, domain.grant_of(key))
    given = {name: value for name, value in vars(domain.grant_of(key)).items() if name != "scopes"}
    assert given == {name: getattr(key, name) for name in given}
    assert domain.grant_of(key).scopes == frozenset(key.scopes)


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    key = a_key(cidrs=["10.0.0.0/8"], expires_at=LATER)
    patch = KeyPatch.model_validate({"expires_at": None, "enabled": False})
    grant = domain.patched(key, patch)
    assert (grant.expires_at, grant.cidrs, grant.name) == (None, key.cidrs, key.name)
    assert domain.changed_fields(key, patch) == {"expires_at", "enabled"}


@pytest.mark.parametrize(
    "same", [{}, {"name": "a key"}, {"scopes": ["drafts:read", "keys:admin"]}, {"rate_limits": None}, {"enabled": True}]
)
def test_a_patch_with_what_is_there_changes_nothing(same: dict[str, Any]) -> None:
    assert domain.changed_fields(a_key(), KeyPatch.model_validate(same)) == frozenset()


def test_scopes_are_written_in_one_order_in_every_process() -> None:
    """What is compared as text, the fingerprint of a repeated request, must not depend on how a set is laid out."""
    ask = wanted(scopes=list(Scope))
    assert ask.model_dump(mode="json")["scopes"] == sorted(Scope)
    assert KeyPatch(scopes=frozenset(Scope)).model_dump(mode="json")["scopes"] == sorted(Scope)


@pytest.mark.parametrize(
    ("own", "wanted_end", "longer"),
    [
        (LATER, None, True),
        (LATER, LATER + timedelta(seconds=1), True),
        (LATER, LATER, False),
        (LATER, NOW, False),
        (None, None, False),
        (None, LATER, False),
    ],
)
def test_a_life_is_longer_when_it_ends_later_or_never(
    own: datetime | None, wanted_end: datetime | None, longer: bool
) -> None:
    assert domain.extends(a_key(expires_at=own), wanted_end) is longer


def test_an_admin_key_grants_every_scope_although_it_has_none() -> None:
    admin = a_key(kind="admin", scopes=[], cidrs=["10.0.0.0/8"])
    assert grant_code(admin, wanted(scopes=list(Scope), rate_limits=[])) is None


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"revoked_at": NOW, "expires_at": NOW, "enabled": False}, "api_key_revoked"),
        ({"expires_at": NOW, "enabled": False}, "api_key_expired"),
        ({"enabled": False}, "api_key_disabled"),
        ({}, "tenant_suspended"),
    ],
)
def test_of_several_reasons_the_most_lasting_is_told(state: dict[str, Any], code: str) -> None:
    with pytest.raises(Problem) as refused:
        domain.check_living(Credential(a_key(**state), a_tenant("suspended"), NOW, 1))
    assert refused.value.code == code


def test_suspending_the_default_tenant_stops_no_admin_key() -> None:
    domain.check_living(Credential(a_key(kind="admin", scopes=[]), a_tenant("suspended"), NOW, 1))


def test_a_key_lives_until_the_instant_it_expires() -> None:
    key = a_key(expires_at=NOW + timedelta(milliseconds=1))
    domain.check_living(Credential(key, a_tenant("active"), NOW, 1))


def test_the_first_data_key_may_do_all_with_data_and_nothing_else() -> None:
    assert frozenset(Scope) - domain.BACK_END_SCOPES == {Scope.KEYS_ADMIN, Scope.AUDIT_READ, Scope.CLEANER_RUN}
