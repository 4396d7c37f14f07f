"""The table of a long run, and its place in docs/performance.md."""

from collections.abc import Mapping
from typing import Any

BEGIN, END = "<!-- soak: made by `make bench-soak` -->", "<!-- end of soak -->"

_ROWS = 12
"""A table of more is not read: of a long run every so many-th slice is shown."""


def table(found: Mapping[str, Any]) -> str:
    """Markdown: what came of it, then how memory and latency went."""
    return f"{_summary(found)}\n\n{_course(found['slices'])}"


def inserted(document: str, found: Mapping[str, Any]) -> str:
    """The document with this table between its marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(found)}\n{END}{after}"


def _summary(found: Mapping[str, Any]) -> str:
    answered, end = found["answered"], found["end"]
    done = ", ".join(f"{answered.get(kind, 0):,} x {kind}" for kind in answered)
    errors = ", ".join(f"{count} x {kind}" for kind, count in found["errors"].items()) or "none"
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(end["states"].items()))
    return "\n".join(
        (
            f"* {found['minutes']:g} minutes at {found['rate']} new drafts/s ({found['saturation']} at most): {done}.",
            f"* Errors: {errors}.",
            f"* At the end: {states}; {end['objects']:,} objects of {end['bytes']:,} bytes in rows and store alike."
            if not end["disagreements"]
            else f"* **At the end they disagree**: {'; '.join(end['disagreements'])}.",
            f"* Last third against the first: memory {_ratios(found, 'memory_mib')}; p99 {_ratios(found, 'p99_ms')}.",
        )
    )


def _ratios(found: Mapping[str, Any], what: str) -> str:
    return ", ".join(f"{name} × {ratio:g}" for name, ratio in found["last_to_first_third"].get(what, {}).items())


def _course(slices: list[Mapping[str, Any]]) -> str:
    step = max(1, -(-len(slices) // _ROWS))
    shown = slices[step - 1 :: step]
    kinds = list(shown[-1]["p99_ms"]) if shown else []
    head = ["minute", "suite MiB", "postgres MiB", "store MiB", *(f"{kind} p50/p99 ms" for kind in kinds), "errors"]
    lines = [_line(head), _line(["--:"] * len(head)), *(_line(_cells(each, kinds)) for each in shown)]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(each: Mapping[str, Any], kinds: list[str]) -> list[str]:
    memory = each["memory_mib"]
    store = sum(mib for name, mib in memory.items() if name.startswith("seaweedfs"))
    latencies = [f"{each['p50_ms'].get(kind, '—')}/{each['p99_ms'].get(kind, '—')}" for kind in kinds]
    held = [memory["suite"], memory.get("postgres", 0), store]
    return [f"{each['seconds'] / 60:.1f}", *(str(mib) for mib in held), *latencies, str(each["errors"])]
