"""The page of `make mutate`: how many mutants died, and why each that lives may."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BAR = 0.90  # of the mutants of each module that were tried
_HEAD = """# Mutation testing

`make mutate` changes the code that decides what a device believes, one place at a time, and runs the tests that should
notice. This page is what it wrote last; the reasons are kept in `tests/mutation/survivors.toml`. All of it takes
about an hour on two quiet cores, and many hours beside other work. `python -m tests.mutation --share 0.3 --minutes 20`
tries less, `--go-on` then more, and `--report-only` writes this page again.

Not changed: text that only people read (what an error says, expected and got), decorated functions, constants and
types at the top of a module: see [the decision](decisions/mutation-testing.md). The same tests first run with nothing
changed; where one fails there, nothing is judged.

A module's mutants are tried in a seeded shuffle. Where fewer were tried than made, those are the front of it: a random
sample, not the quick ones or the first of the file. What a run judged behind the front is neither counted nor listed.

"""


@dataclass(frozen=True)
class Mutant:
    """One change. `diff` is given where it lives; `untested` where no test runs the function at all."""

    name: str
    module: str
    killed: bool
    untested: bool
    diff: str
    tried: bool = True
    out_of_time: bool = False

    @property
    def function(self) -> str:
        """The changed function, as a person writes it."""
        short = self.name.rpartition(".")[2].partition("__mutmut_")[0]
        return short.removeprefix("x_").replace("xǁ", "").replace("ǁ", ".")

    @property
    def change(self) -> str:
        """What was taken out and what came instead, one line."""
        lines = [line for line in self.diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
        gone = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
        come = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
        return f"{gone} => {come}"

    @property
    def description(self) -> str:
        """What reasons are kept under: it stays the same from run to run."""
        return f"{self.module}:{self.function}: {self.change}"


@dataclass
class Reason:
    """Why mutants whose description matches may live."""

    match: str
    why: str
    used: int = 0


@dataclass
class Report:
    """The mutants of all groups against the reasons."""

    mutants: tuple[Mutant, ...]
    reasons: tuple[Reason, ...]
    excused: list[tuple[Mutant, Reason]] = field(default_factory=list)
    unexplained: list[Mutant] = field(default_factory=list)

    def __post_init__(self) -> None:
        for mutant in self.mutants:
            if mutant.killed or not mutant.tried:
                continue
            reason = next((one for one in self.reasons if re.search(one.match, mutant.description)), None)
            if reason is None:
                self.unexplained.append(mutant)
            else:
                reason.used += 1
                self.excused.append((mutant, reason))

    @property
    def killed(self) -> int:
        return sum(mutant.killed for mutant in self.mutants)

    @property
    def tried(self) -> int:
        return sum(mutant.tried for mutant in self.mutants)

    @property
    def good(self) -> bool:
        """In each module at least nine of ten died, and there is a reason for each that lives."""
        return self.tried > 0 and not self.below and not self.unexplained

    @property
    def below(self) -> tuple[str, ...]:
        """The modules of which fewer than nine of ten died."""
        tried = Counter(mutant.module for mutant in self.mutants if mutant.tried)
        died = Counter(mutant.module for mutant in self.mutants if mutant.killed)
        return tuple(module for module, count in tried.items() if died[module] < BAR * count)

    def summary(self) -> str:
        lines = [f"{len(self.unexplained)} live without a reason"]
        lines += [f"  {mutant.description}" for mutant in self.unexplained]
        lines += [f"fewer than {BAR:.0%} killed: {module}" for module in self.below]
        lines += [f"no mutant matches any more: {reason.match}" for reason in self.reasons if not reason.used]
        share = 100 * self.killed / max(1, self.tried)
        tried = f"{self.tried} of {len(self.mutants)} mutants were tried"
        return "\n".join([*lines, f"{tried}, {self.killed} died: {share:.1f} %"])

    def page(self) -> str:
        made = Counter(m.module for m in self.mutants)
        tried = Counter(m.module for m in self.mutants if m.tried)
        died = Counter(m.module for m in self.mutants if m.killed)
        late = Counter(m.module for m in self.mutants if m.out_of_time)
        rows = [
            f"| `{module}` | {count} | {tried[module]} | {_how(tried[module], count)} | {died[module]} "
            f"| {late[module]} | {_percent(died[module], tried[module])} |"
            for module, count in made.items()
        ]
        total = f"**{_percent(self.killed, self.tried)}**"
        rows.append(
            f"| **all** | {len(self.mutants)} | {self.tried} | | {self.killed} | {late.total()} | {total} |"
        )
        head = (
            "| module | mutants | tried | chosen | killed | by the clock | |\n|---|---|---|---|---|---|---|\n"
        )
        parts = [_HEAD, head, "\n".join(rows), "\n\n## What lives, and why\n"]
        by_reason: dict[str, list[Mutant]] = {}
        for mutant, reason in self.excused:
            by_reason.setdefault(reason.why, []).append(mutant)
        for why, mutants in by_reason.items():
            parts.append(f"\n**{why}** ({len(mutants)})\n\n")
            parts += [f"- {_code(mutant)}\n" for mutant in mutants]
        if self.unexplained:
            parts.append(
                f"\n**Not yet judged: no reason found, no test written** ({len(self.unexplained)})\n\n"
            )
            parts += [f"- {_code(mutant)}\n" for mutant in self.unexplained]
        return "".join(parts)


def _how(tried: int, made: int) -> str:
    return "all" if tried == made else "at random" if tried else "-"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def read_reasons(path: Path) -> tuple[Reason, ...]:
    """Read survivors.toml: tables of `match` (a regular expression on a description) and `why`."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(Reason(one["match"], one["why"]) for one in document["survivor"])


def _code(mutant: Mutant) -> str:
    where = f"{mutant.module.rpartition('/')[2]}, {mutant.function}"
    note = " (no test runs it)" if mutant.untested else ""
    text = mutant.change.replace("`", "'")
    return f"{where}{note}: `{text if len(text) <= 240 else text[:240] + '...'}`"
