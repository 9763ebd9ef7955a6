"""What each dependency adds to a release build, in processor seconds: python3 tools/build_cost.py

Builds the program from nothing in a temporary directory and measures every call of rustc. "Itself" is the crate alone,
"alone needs" adds the crates that no other dependency needs, so it is what removing the dependency would save in the
crates below it. Code that is generic in a dependency is compiled in the crate that uses it, and counts there.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

LOG = "VAPO_BUILD_COST_LOG"
ROOT = Path(__file__).resolve().parent.parent
MIN_SHARE = 0.01


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_rustc(log):
    """Runs as cargo's RUSTC_WRAPPER: compiles, and notes the package and the processor time."""
    status = subprocess.call(sys.argv[1:], close_fds=False)  # cargo's job server is among the open files
    package = f"{os.environ.get('CARGO_PKG_NAME')} {os.environ.get('CARGO_PKG_VERSION')}"
    with open(log, "a") as file:
        file.write(f"{package} {children_seconds()}\n")
    return status


def build():
    """Seconds of each (name, version), and those of the whole build."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        wrapper = Path(place) / "rustc"
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
        wrapper.chmod(0o755)
        settings = {"RUSTC_WRAPPER": str(wrapper), "CARGO_TARGET_DIR": str(Path(place) / "target"), LOG: str(log)}
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, env=os.environ | settings, check=True)
        total, seconds = children_seconds(), defaultdict(float)
        for name, version, spent in map(str.split, log.read_text().splitlines()):
            seconds[name, version] += float(spent)
    return seconds, total


def dependencies():
    """The workspace's packages, and what each package needs to be built, by (name, version)."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    data = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    key = {package["id"]: (package["name"], package["version"]) for package in data["packages"]}
    needs = {}
    for node in data["resolve"]["nodes"]:
        used = [dep for dep in node["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]
        needs[key[node["id"]]] = {key[dep["pkg"]] for dep in used}
    return {key[member] for member in data["workspace_members"]}, needs


def reachable(members, needs, without=None):
    found, waiting = set(), list(members)
    while waiting:
        package = waiting.pop()
        if package not in found and package != without:
            found.add(package)
            waiting.extend(needs[package])
    return found


def main():
    seconds, total = build()
    members, needs = dependencies()
    everything = reachable(members, needs)
    rows = []
    for package in set().union(*(needs[member] for member in members)) | members:
        alone = {package} if package in members else everything - reachable(members, needs, without=package)
        alone &= seconds.keys()
        rows.append((sum(seconds[one] for one in alone), seconds.get(package, 0), len(alone), package[0]))
    print(f"\n{total:.0f} s, of which rustc {sum(seconds.values()):.0f} s\n")
    print("| crate | itself, s | with what it alone needs, s | share | share | crates |\n|---|---|---|---|---|---|")
    for alone, itself, crates, name in sorted(rows, reverse=True):
        if alone >= MIN_SHARE * total:
            share = f"{100 * itself / total:.1f} % | {100 * alone / total:.1f} %"
            print(f"| {name} | {itself:.1f} | {alone:.1f} | {share} | {crates} |")


if __name__ == "__main__":
    sys.exit(measure_rustc(os.environ[LOG]) if LOG in os.environ else main())
