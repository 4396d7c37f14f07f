"""What a run found: figures of every round, and the lines made from them."""

import json
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.lines import BY_NAME, NAMES

Spread = tuple[float, float]


@dataclass(frozen=True)
class Figures:
    """A line's rounds: `values` and `references` side by side. `more` goes into the results as it is.

    `failed` says why there are no figures.
    """

    name: str
    values: Sequence[float] = ()
    references: Sequence[float] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    failed: str | None = None

    def line(self) -> dict[str, Any]:
        """The entry of `results.json`: medians, and least and most of every round."""
        known = BY_NAME[self.name]
        ratios = [own / other for own, other in zip(self.values, self.references, strict=False)]
        value, reference, ratio = (_median(each) for each in (self.values, self.references, ratios))
        decisive = ratio if known.target.of == "ratio" else value
        spread = {"value": self.values, "reference": self.references, "ratio": ratios}
        return {
            "name": self.name,
            "value": value,
            "unit": known.unit,
            "reference": reference,
            "ratio": ratio,
            "target": known.target.text(known.unit),
            "met": decisive is not None and known.target.met(decisive),
            "spread": {name: _spread(figures) for name, figures in spread.items() if figures},
            "rounds": len(self.values),
            **({"more": dict(self.more)} if self.more else {}),
            **({"failed": self.failed} if self.failed else {}),
        }


def _median(figures: Sequence[float]) -> float | None:
    return _rounded(median(figures)) if figures else None


def _spread(figures: Sequence[float]) -> Spread:
    return _rounded(min(figures)), _rounded(max(figures))


def _rounded(figure: float) -> float:
    """Four digits: more would be noise."""
    return float(f"{figure:.4g}")


def machine() -> dict[str, Any]:
    """What it ran on; nothing that names the machine."""
    models = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": models[0] if models else platform.machine(),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def merged(old: Mapping[str, Any] | None, figures: Iterable[Figures]) -> dict[str, Any]:
    """Results with these lines new, in the order of the table; the others as they were in `old`."""
    lines = {line["name"]: line for line in (old or {}).get("lines", [])}
    lines |= {each.name: each.line() for each in figures}
    return {"lines": [lines[name] for name in NAMES if name in lines], "machine": machine()}


def read(path: Path) -> dict[str, Any] | None:
    """Results that were written; None when there are none."""
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def write(path: Path, results: Mapping[str, Any]) -> None:
    """Replace the file."""
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
