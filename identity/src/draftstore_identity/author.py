"""Who does something, as the audit log says it."""

from dataclasses import dataclass

from draftstore_common.contracts.identity import Principal, ServiceName


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and from where."""

    actor: str
    ip: str | None = None


ITSELF = Author(f"service:{ServiceName.IDENTITY}")
"""What identity does unasked: at its first start, and when something is due."""

OPERATOR = Author("operator")
"""Whoever runs a command with the installation's own access to the database."""


def anonymous(ip: str | None) -> Author:
    """Someone who showed no key."""
    return Author("anonymous", ip)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key a request came with, and from where."""

    principal: Principal
    ip: str | None

    @property
    def author(self) -> Author:
        """The caller, for the audit log."""
        return Author(f"key:{self.principal.key_id}", self.ip)
