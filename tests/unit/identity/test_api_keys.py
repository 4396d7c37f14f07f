"""The form of an API key."""

import re
import string
import zlib
from ipaddress import ip_network

import pytest

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.api_keys import Label
from draftstore_common.kit.redaction import redact

LABELS: tuple[Label, ...] = ("live", "test", "admin")
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


@pytest.mark.parametrize("label", LABELS)
def test_a_key_is_its_label_32_random_characters_and_6_of_checksum(label: Label) -> None:
    secret = api_keys.make(label)
    found = re.fullmatch(rf"(ds_{label}_[0-9A-Za-z]{{32}})([0-9A-Za-z]{{6}})", secret)
    assert found is not None
    value = 0
    for character in found[2]:
        value = value * 62 + BASE62.index(character)
    assert value == zlib.crc32(found[1].encode())
    assert api_keys.is_well_formed(secret)


def test_a_key_issued_long_ago_stays_well_formed() -> None:
    assert api_keys.is_well_formed("ds_live_" + "0" * 32 + "39xe9c")


def test_every_single_wrong_character_is_noticed() -> None:
    secret = api_keys.make("live")
    for place in range(len("ds_live_"), len(secret)):
        wrong = "x" if secret[place] != "x" else "y"
        assert not api_keys.is_well_formed(secret[:place] + wrong + secret[place + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: secret[:-1],
        lambda secret: secret + "0",
        lambda secret: secret + "\n",
        lambda secret: " " + secret,
        lambda secret: secret.replace("ds_live_", "ds_admin_"),
        lambda secret: secret.replace("ds_live_", "ds_dead_"),
        lambda secret: secret.replace("ds_", "DS_"),
        lambda secret: secret[:-1] + "é",
        lambda secret: secret[:-1] + "\ud800",
        lambda _: "",
    ],
)
def test_what_is_not_a_whole_key_is_not_well_formed(change: object) -> None:
    assert callable(change)
    assert not api_keys.is_well_formed(change(api_keys.make("live")))


def test_what_is_shown_of_a_key_is_little_and_survives_redaction() -> None:
    secret = api_keys.make("live")
    assert api_keys.prefix(secret) == secret[:12]
    assert api_keys.last4(secret) == secret[-4:]
    assert redact(api_keys.prefix(secret)) == api_keys.prefix(secret)
    assert redact(secret) == "ds_live_***"


def test_admin_keys_are_told_by_their_form() -> None:
    assert [api_keys.is_admin(api_keys.make(label)) for label in LABELS] == [False, False, True]


@pytest.mark.parametrize(
    ("client_ip", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.1.2.3", False),
        ("2001:db8::7", True),
        ("2001:db9::7", False),
        ("10.1.2", False),
        ("", False),
        (None, False),
    ],
)
def test_an_allow_list_allows_what_is_inside_it(client_ip: str | None, inside: bool) -> None:
    networks = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
    assert api_keys.allows(networks, client_ip) is inside


@pytest.mark.parametrize("client_ip", ["10.1.2.3", None])
def test_an_empty_allow_list_allows_everyone(client_ip: str | None) -> None:
    assert api_keys.allows([], client_ip)


@pytest.mark.parametrize("label", LABELS)
def test_a_prefix_tells_the_label(label: Label) -> None:
    assert api_keys.label(api_keys.prefix(api_keys.make(label))) == label


def test_a_key_in_a_text_is_cut_to_what_may_be_shown() -> None:
    secret = api_keys.make("live")
    assert api_keys.mask(f"a/{secret}.txt") == f"a/{api_keys.prefix(secret)}***.txt"
    assert api_keys.mask("a/ds_live_short.txt") == "a/ds_live_short.txt"
