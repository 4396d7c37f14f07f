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
from bench.neighbours import TOO_MUCH

Spread = tuple[float, float]


@dataclass(frozen=True)
class Figures:
    """A line's rounds: `values` and `references` side by side. `more` goes into the results as it is.

    `failed` says why there are no figures; `others` is the share of the machine that others used meanwhile.
    """

    name: str
    values: Sequence[float] = ()
    references: Sequence[float] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    failed: str | None = None
    others: float = 0.0

    def line(self, *, full: bool) -> dict[str, Any]:
        """The entry of `results.json`: medians, and least and most of every round.

        `met` is null where nothing can be judged: the run was quick, and so not what the line says, or disturbed.
        """
        known = BY_NAME[self.name]
        ratios = [own / other for own, other in zip(self.values, self.references, strict=False)]
        decisive = ratios if known.target.of == "ratio" else self.values
        judged = full and self.others <= TOO_MUCH
        spread = {"value": self.values, "reference": self.references, "ratio": ratios}
        return {
            "name": self.name,
            "value": _median(self.values),
            "unit": known.unit,
            "reference": _median(self.references),
            "ratio": _median(ratios),
            "target": known.target.text(known.unit),
            "met": (bool(decisive) and known.target.met(median(decisive))) if judged else None,
            "spread": {name: _spread(figures) for name, figures in spread.items() if figures},
            "rounds": len(self.values),
            "full": full,
            "others": self.others,
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


def merged(old: Mapping[str, Any] | None, figures: Iterable[Figures], *, full: bool = True) -> dict[str, Any]:
    """Results with these lines new, in the order of the table; the rest as they were in `old`, if on this machine."""
    here = machine()
    kept = old["lines"] if old is not None and old["machine"] == here else []
    lines = {line["name"]: line for line in kept} | {each.name: each.line(full=full) for each in figures}
    return {"lines": [lines[name] for name in NAMES if name in lines], "machine": here}


def read(path: Path) -> dict[str, Any] | None:
    """Results that were written; None when there are none."""
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def write(path: Path, results: Mapping[str, Any]) -> None:
    """Replace the file."""
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
