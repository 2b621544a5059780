"""Times tools in turn, each run in a process of its own."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

# A tool that has taken so many seconds for a case is not run again.
PATIENCE = 20.0


def run(script: str, case: str, tool: str, folder: Path, *flags: str) -> dict[str, float] | None:
    """What the script in this folder measured, or nothing if the tool has no such case."""
    # What the tool before it left to be written would slow this one down.
    os.sync()
    command = [sys.executable, str(Path(__file__).with_name(script)), case, tool, str(folder)]
    done = subprocess.run(
        [*command, *flags],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # progress bars
    )
    result: dict[str, float] | None = json.loads(done.stdout.splitlines()[-1])
    return result


def seconds(
    script: str,
    case: str,
    tools: Sequence[str],
    folder: Path,
    rounds: int,
    check: Callable[[], None],
) -> dict[str, list[float]]:
    """Of every tool, which are checked after their first run."""
    times: dict[str, list[float]] = {tool: [] for tool in tools}
    for number in range(rounds):
        for tool in tools:
            if sum(times[tool]) < PATIENCE:
                result = run(script, case, tool, folder, *([] if number else ["--first"]))
                assert result is not None
                times[tool].append(result["seconds"])
        if number == 0:
            check()
    return times


def table(
    script: str,
    cases: Mapping[str, tuple[str, Sequence[str]]],
    folder: Path,
    rounds: int,
    check: Callable[[str], None],
) -> str:
    """The medians of cases, which have a title and tools, ours first; as Markdown."""
    own = "bioimage-rs"
    lines = [f"| case | {own} | compared with | | ratio |", "|---|---|---|---|---|"]
    for case, (title, tools) in cases.items():
        print(f"{case}: comparing and timing", file=sys.stderr)
        times = seconds(script, case, tools, folder, rounds, partial(check, case))
        medians = {tool: statistics.median(one) for tool, one in times.items()}
        for peer in tools[1:]:
            ours, theirs = (_cell(medians[tool], len(times[tool]), rounds) for tool in (own, peer))
            ratio = medians[peer] / medians[own]
            lines.append(f"| {title} | {ours} | {peer} | {theirs} | {ratio:.1f}x |")
            print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def _cell(median: float, runs: int, rounds: int) -> str:
    few = "" if runs == rounds else f" ({runs})"
    return f"{median:.3f} s{few}"
