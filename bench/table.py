"""The table of the results, and its place in docs/performance.md. Pure, so that a test can compare the two."""

from collections.abc import Mapping
from typing import Any

from bench.lines import BY_NAME

BEGIN, END = "<!-- results: made by `make bench` -->", "<!-- end of results -->"

_HEAD = "| what | figure | reference | figure | ratio | wanted | met |\n|---|--:|---|--:|--:|--:|---|"


def table(results: Mapping[str, Any]) -> str:
    """Markdown: a row for each line, least and most of the rounds in brackets, then the machine."""
    rows = "\n".join(_row(line) for line in results["lines"])
    machine = results["machine"]
    where = f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, {machine['system']}"
    return f"{_HEAD}\n{rows}\n\nOn {where}, Python {machine['python']}, the load included."


def inserted(document: str, results: Mapping[str, Any]) -> str:
    """The document with this table between its marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def text(lines: list[dict[str, Any]]) -> str:
    """The same for a terminal, one line each."""
    wide = max(len(line["name"]) for line in lines)
    return "\n".join(_plain(line, wide) for line in lines)


def _row(line: Mapping[str, Any]) -> str:
    known = BY_NAME[line["name"]]
    cells = (
        known.title,
        f"{_figure(line, 'value')} {known.unit}",
        known.reference,
        _figure(line, "reference"),
        _figure(line, "ratio"),
        line["target"],
        "yes" if line["met"] else "**no**",
    )
    return f"| {' | '.join(cells)} |"


def _figure(line: Mapping[str, Any], name: str) -> str:
    if line[name] is None:
        return "—"
    least, most = line["spread"][name]
    around = "" if least == most else f" ({_number(least)}–{_number(most)})"
    return f"{_number(line[name])}{around}"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _plain(line: Mapping[str, Any], wide: int) -> str:
    if line.get("failed"):
        return f"{line['name']:{wide}}  failed: {line['failed']}"
    figures = f"{_figure(line, 'value')} {line['unit']}"
    ratio = f"{_figure(line, 'reference')}  ratio {_figure(line, 'ratio')}"
    wanted = f"wanted {line['target']}  {'met' if line['met'] else 'NOT MET'}"
    return f"{line['name']:{wide}}  {figures}  against {ratio}  {wanted}"
