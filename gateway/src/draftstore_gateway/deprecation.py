"""Routes that will go: how their answers say so."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime


@dataclass(frozen=True, slots=True)
class Deprecation:
    """From when on a route should not be used any more, when it ends, and where that is explained. Instants in UTC."""

    since: datetime
    link: str
    sunset_at: datetime | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """`Deprecation` (RFC 9745), `Sunset` (RFC 8594), and a link with the relations both define."""
        fields = [("deprecation", f"@{int(self.since.timestamp())}")]
        if self.sunset_at is not None:
            fields.append(("sunset", format_datetime(self.sunset_at, usegmt=True)))
        relations = "deprecation" if self.sunset_at is None else "deprecation sunset"
        fields.append(("link", f'<{self.link}>; rel="{relations}"'))
        return [(name.encode(), value.encode()) for name, value in fields]
