"""What signers are tried with: buckets, credentials, and keys of every kind that a store may hold."""

from hypothesis import strategies as st

from draftstore_storage.domain import Buckets, check_key
from draftstore_storage.errors import InvalidKey
from draftstore_storage.signing.credentials import Credentials

BUCKETS = Buckets(main="main", draft="main-draft")
LASTING = Credentials("AKEXAMPLE", "secret/with+signs")
PASSING = Credentials("AKEXAMPLE", "secret/with+signs", session_token="a/token+with=signs")


def _usable(key: str) -> bool:
    try:
        check_key("draft", key)
    except InvalidKey:
        return False
    return True


keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(_usable)
