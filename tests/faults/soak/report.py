"""The table of a run: what was done, what went wrong on purpose, how it ended, and the numbers that must be zero."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from faults.soak.audit import KINDS, Findings
from faults.soak.ledger import Ledger
from faults.soak.plan import Plan

SHOWN = 20
"""Findings of a kind that are printed; the rest is counted."""


@dataclass(frozen=True)
class Report:
    """How a run went."""

    plan: Plan
    ledger: Ledger
    findings: Findings
    seconds: float
    rounds: int

    @property
    def races(self) -> int:
        """Drafts whose time ran out while somebody confirmed them."""
        return self.ledger.races.total()

    @property
    def failed(self) -> bool:
        """Whether anything happened that must not, or too little was tried."""
        return any(self.findings.values()) or bool(self.ledger.strange) or self.races < self.plan.races

    def markdown(self) -> str:
        """The whole table."""
        return "\n".join(self._lines()) + "\n"

    def problems(self) -> str:
        """What must be looked into, with the ids concerned."""
        told = [*self.findings.items(), ("strange answer", self.ledger.strange)]
        lines = [f"{kind}: {text}" for kind, texts in told for text in texts[:SHOWN]]
        return "\n".join(lines)

    def _lines(self) -> Iterator[str]:
        plan = self.plan
        command = f"make soak ARGS='--races {plan.races} --seed {plan.seed} --workers {plan.workers}'"
        yield f"`{command}` took {self.seconds:.0f} s."
        yield ""
        yield "| must be zero | count |"
        yield "|---|---:|"
        for kind in KINDS:
            yield f"| **{kind}** | **{len(self.findings[kind])}** |"
        yield f"| answers nobody should get | {len(self.ledger.strange)} |"
        yield from self._section("races of confirm and expiry, by end", self.ledger.races, total=True)
        yield from self._section("faults", self.ledger.faults, total=True)
        yield from self._section("done by clients", self.ledger.operations)
        yield from self._section("how other contests ended", self.ledger.outcomes)
        yield from self._section("answers", self.ledger.answers, total=True)

    def _section(self, title: str, counts: Counter[str], *, total: bool = False) -> Iterator[str]:
        yield ""
        yield f"| {title} | count |"
        yield "|---|---:|"
        for name, count in sorted(counts.items()):
            yield f"| {name} | {count:,} |"
        if total:
            yield f"| **all** | **{counts.total():,}** |"
