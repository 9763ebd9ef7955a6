#!/usr/bin/env python3
"""Runs the fuzz targets and keeps account of it.

    tools/fuzz.py run [TARGET ...] [--minutes 5]   fuzz each target for so many minutes of processor time, one after the other
    tools/fuzz.py minimize [TARGET ...]            keep few small inputs that reach what all inputs reach
    tools/fuzz.py record                           add the account to the table in docs/reliability.md

Needs cargo-fuzz and a nightly toolchain (CONTRIBUTING.md). What a run finds lies in fuzz/work: every input that reached
something new (TARGET/), inputs that failed (findings/), and the account of processor time (account.json) until it is
recorded. A target with a finding is not run any longer; the other targets are, and the exit status is 1.
"""

import argparse
import fcntl
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
WORK = FUZZ / "work"
FINDINGS = WORK / "findings"
ACCOUNT = WORK / "account.json"
TABLE = ROOT / "docs" / "reliability.md"
PROGRAMS = FUZZ / "target" / "x86_64-unknown-linux-gnu" / "release"
TARGETS = sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))
# The targets limit processor time themselves; this is time on a busy machine. Memory is limited in all and for one allocation,
# to what the largest page of a Parquet file takes.
LIMITS = ["-timeout=600", "-report_slow_units=600", "-rss_limit_mb=2048", "-malloc_limit_mb=320"]
# Longest input, in bytes; longer ones repeat what shorter ones do.
LONGEST = 16384
# A run is cut into slices of this many seconds, and processor time is counted after each.
SLICE = 60
# Largest kept corpus of a target, in bytes.
LARGEST_CORPUS = 60_000


def command(target, *arguments):
    dictionary = FUZZ / "dictionaries" / f"{target}.dict"
    words = [f"-dict={dictionary}"] if dictionary.exists() else []
    return [str(PROGRAMS / target), *LIMITS, f"-max_len={LONGEST}", *words, *arguments]


def call(line):
    """Runs a program; returns its status, its messages and its processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.returncode, done.stderr.decode(errors="replace"), seconds


def last(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def account(target, seconds, executions):
    """Adds to the account, which several runs at a time may do."""
    WORK.mkdir(exist_ok=True)
    with open(ACCOUNT, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        entries = json.loads(file.read() or "{}")
        old = entries.get(target, [0, 0])
        entries[target] = [old[0] + seconds, old[1] + executions]
        file.truncate(0)
        file.write(json.dumps(entries))


def fuzz(target, minutes):
    """Fuzzes a target for this much processor time; returns a row of the table that is printed."""
    work = WORK / target
    work.mkdir(parents=True, exist_ok=True)
    FINDINGS.mkdir(exist_ok=True)
    spent = executions = edges = findings = 0
    while spent < 60 * minutes and not findings:
        options = [f"-max_total_time={SLICE}", "-print_final_stats=1", "-reduce_inputs=1"]
        places = [f"-artifact_prefix={FINDINGS}/{target}-", str(work), str(FUZZ / "corpus" / target)]
        status, messages, seconds = call(command(target, *options, *places))
        done, findings = last(r"stat::number_of_executed_units: (\d+)", messages), int(status != 0)
        edges = last(r" cov: (\d+)", messages)
        spent, executions = spent + seconds, executions + done
        account(target, seconds, done)
        if findings:
            (FINDINGS / f"{target}.txt").write_text(messages)
    return [target, round(spent), executions, len(list(work.iterdir())), edges, findings]


def minimize(target):
    """Replaces the kept corpus by few inputs that reach what it and the work reach, the smallest first."""
    kept = FUZZ / "corpus" / target
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        sources = [str(path) for path in (kept, WORK / target) if path.is_dir()]
        status, messages, _ = call(command(target, "-set_cover_merge=1", "-use_counters=0", folder, *sources))
        if status:
            sys.exit(messages)
        files = sorted(Path(folder).iterdir(), key=lambda path: (path.stat().st_size, path.name))
        shutil.rmtree(kept)
        kept.mkdir()
        size = 0
        for path in files:
            size += path.stat().st_size
            if size <= LARGEST_CORPUS:
                shutil.move(path, kept / path.name[:16])
    edges = last(r"(\d+) new coverage edges", messages)
    return [target, len(list(kept.iterdir())), sum(path.stat().st_size for path in kept.iterdir()), edges]


def record():
    """Adds the account to the table, whose other columns are what is kept now, and begins a new account."""
    entries = json.loads(ACCOUNT.read_text()) if ACCOUNT.exists() else {}
    lines = TABLE.read_text().split("\n")
    for index, line in enumerate(lines):
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        target = cells[0].strip("`") if cells else ""
        if target not in TARGETS or len(cells) != 6:
            continue
        seconds, executions = entries.pop(target, [0, 0])
        files = [path.stat().st_size for path in (FUZZ / "corpus" / target).iterdir()]
        cells[1] = f"{float(cells[1]) + seconds / 60:.1f}"
        cells[2] = f"{int(cells[2].replace(',', '')) + executions:,}"
        cells[3] = f"{len(files)}, {sum(files) / 1000:.0f} kB"
        lines[index] = f"| {' | '.join(cells)} |"
    if entries:
        sys.exit(f"{TABLE} has no row for {', '.join(entries)}")
    TABLE.write_text("\n".join(lines))
    ACCOUNT.unlink(missing_ok=True)


def show(heads, rows):
    widths = [max(len(str(row[column])) for row in [heads, *rows]) for column in range(len(heads))]
    for row in [heads, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "minimize", "record"])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all by default")
    parser.add_argument("--minutes", type=float, default=5)
    chosen = parser.parse_args()
    unknown = set(chosen.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    targets = chosen.targets or TARGETS
    if chosen.action == "record":
        return record()
    for target in targets:
        build = ["cargo", "+nightly", "fuzz", "build", target]
        if subprocess.run(build, cwd=FUZZ).returncode:
            sys.exit(f"{target} does not build")
    if chosen.action == "minimize":
        WORK.mkdir(exist_ok=True)
        return show(["target", "inputs", "bytes", "edges"], [minimize(target) for target in targets])
    rows = [fuzz(target, chosen.minutes) for target in targets]
    show(["target", "CPU s", "executions", "inputs", "edges", "findings"], rows)
    sys.exit(any(row[-1] for row in rows))


if __name__ == "__main__":
    main()
