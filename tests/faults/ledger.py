"""Cases by number: each is tried in a child process with bounds of seconds and memory, and its outcome is counted."""

from __future__ import annotations

import json
import multiprocessing
import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "tables" / "reliability.json"
PAGE = ROOT / "docs" / "reliability.md"
#: A traceback, a regular expression, or what Python calls its types: none of them belongs into a sentence for a user.
_FOREIGN = re.compile(
    r"Traceback|\^\[|\[\^|\\x[0-9a-f]|\b(dict|dictionary|NoneType|bool|tuple|str|int|float|ndarray|pydantic|errno)\b"
    r"|\b[A-Z]\w+(Error|Exception)\b|unexpected error|<class|object at 0x|input_value",
    re.IGNORECASE,
)


class Broken(Exception):
    """A promise was not kept; the text says which."""


@dataclass
class Ledger:
    """The outcomes of one command."""

    name: str
    command: str
    cases: int = 0
    seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    failures: list[tuple[int, str]] = field(default_factory=list)


def check_sentence(text: str, longest: int = 300) -> None:
    """Raise Broken unless `text`, of so many letters at most, may be shown to a user as it stands."""
    found = _FOREIGN.search(text)
    if "\n" in text or not text.isprintable():
        raise Broken(f"not on one line, or control characters: {text!r}")
    if len(text) > longest:
        raise Broken(f"{len(text)} characters: {text[:200]}...")
    if found:
        raise Broken(f"holds {found[0]!r}: {text}")
    if not text or text[-1] not in ".?)":
        raise Broken(f"no sentence: {text!r}")


def walk(
    ledger: Ledger, numbers: Iterable[int], case: Callable[[int], str], limit: float = 20.0, memory: int = 1024
) -> Ledger:
    """Try every number and note what came of it.

    Args:
        ledger: takes the outcomes.
        numbers: of the cases.
        case: returns the outcome in a word or two; raises Broken.
        limit: seconds that one case may take.
        memory: MiB by which one case may let the process grow.
    """
    todo, counts, slowest, largest = list(numbers), Counter(ledger.outcomes), 0.0, 0.0
    context, started = multiprocessing.get_context("fork"), time.monotonic()
    place = 0
    while place < len(todo):
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_tries, args=(todo[place:], case, there))
        child.start()
        there.close()
        try:
            while place < len(todo):
                if not here.poll(limit):
                    ledger.failures.append((todo[place], f"took more than {limit:g} s"))
                    break
                outcome, problem, seconds, grown = here.recv()
                slowest, largest = max(slowest, seconds), max(largest, grown)
                if not problem and grown > memory:
                    problem = f"took {grown:.0f} MiB"
                if problem:
                    ledger.failures.append((todo[place], problem))
                else:
                    counts[outcome] += 1
                place += 1
        except EOFError:
            child.join()
            ledger.failures.append((todo[place], f"ended the process (exit code {child.exitcode})"))
        child.kill()
        child.join()
        if place < len(todo):
            place += 1
    ledger.cases += len(todo)
    ledger.seconds += time.monotonic() - started
    ledger.outcomes = dict(counts.most_common())
    ledger.figures |= {"slowest case, s": round(slowest, 2), "most memory of a case, MiB": round(largest)}
    return ledger


def _tries(numbers: list[int], case: Callable[[int], str], pipe: multiprocessing.connection.Connection) -> None:
    torch.set_num_threads(1)  # the threads of the process that was forked are not here
    for number in numbers:
        Path("/proc/self/clear_refs").write_text("5")  # the peak of the memory starts anew
        before, started, outcome, problem = memory_of("VmRSS"), time.monotonic(), "", ""
        try:
            outcome = case(number)
        except Broken as broken:
            problem = str(broken)
        except BaseException as error:
            problem = f"{type(error).__name__}: {error} at {traceback.format_tb(error.__traceback__)[-1].strip()}"
        pipe.send((outcome, problem[:600], time.monotonic() - started, memory_of("VmHWM") - before))


def memory_of(field_name: str, process: int | str = "self") -> float:
    """MiB of a process: VmRSS is what it holds now, VmHWM the peak."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(rf"{field_name}:\s+(\d+)", status)[1]) / 1024


def report(ledgers: list[Ledger], seed: int, keep: Path | None) -> int:
    """Print the outcomes and keep their figures; returns the exit code."""
    for ledger in ledgers:
        print(f"{ledger.name}: {ledger.cases} cases, {ledger.seconds:.0f} s, {len(ledger.failures)} failures")
        for name, value in (*ledger.outcomes.items(), *ledger.figures.items()):
            print(f"  {value:>10g}  {name}")
        for number, problem in ledger.failures[:200]:
            print(f"  FAILED --seed {seed} --only {number}: {problem.encode('ascii', 'backslashreplace').decode()}")
    if keep is not None:
        known = json.loads(keep.read_text()) if keep.is_file() else {}
        known |= {ledger.name: asdict(ledger) | {"seconds": round(ledger.seconds)} for ledger in ledgers}
        keep.parent.mkdir(parents=True, exist_ok=True)
        keep.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        if keep == FIGURES and PAGE.is_file():
            PAGE.write_text(page_with(PAGE.read_text(), known))
    return int(any(ledger.failures for ledger in ledgers))


def page_with(text: str, known: dict) -> str:
    """The page of figures with its table written anew."""
    lines = ["| what | cases | command | outcomes | failures | figures |", "| --- | --- | --- | --- | --- | --- |"]
    for name, one in known.items():
        outcomes = "; ".join(f"{count:,} {what}" for what, count in one["outcomes"].items())
        figures = "; ".join(f"{what}: {value:,g}" for what, value in one["figures"].items())
        lines.append(
            f"| {name} | {one['cases']:,} | `{one['command']}` | {outcomes} | {len(one['failures'])} | {figures} |"
        )
    table = "\n".join(lines)
    return re.sub(r"(<!-- faults -->\n).*?(<!-- /faults -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
