"""Walks through the web pages in headless Chromium: python3 tools/test_dashboard.py target/release/vapo [--images docs/images]

Trains small runs, serves them with `vapo dash`, opens every page in light and dark and in two sizes, clicks, filters and zooms,
and compares the numbers that are shown with metrics.jsonl and the Parquet files. The console must stay empty, and nothing may
be loaded from elsewhere. `--images` writes the pictures of the documentation.

Needs playwright and pyarrow, and a Chromium. Without them it installs them below target, or says what is missing and ends
with 0, so that a machine without a network passes.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
PLACE = ROOT / "target" / "tools" / "browser"


def quietly(*command, timeout=300):
    """Whether a command succeeds within a time."""
    try:
        return subprocess.run(command, timeout=timeout, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def with_packages():
    """Goes on in an environment that has the packages; returns whether this one has them."""
    try:
        import playwright.sync_api  # noqa: F401
        import pyarrow  # noqa: F401
        return True
    except ImportError:
        pass
    python = PLACE / "bin" / "python"
    if sys.prefix == str(PLACE):
        return False
    if not python.exists() and not quietly(sys.executable, "-m", "venv", PLACE):
        return False
    if not quietly(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "playwright", "pyarrow"):
        return False
    os.execv(python, [str(python), *sys.argv])


def find_browser():
    """The path of a Chromium; installs one if that is possible without asking."""
    for attempt in range(2):
        for name in BROWSERS:
            if path := shutil.which(name):
                return path
        is_debian = shutil.which("apt-get") and os.geteuid() == 0
        if attempt == 0 and is_debian and not quietly("apt-get", "install", "-y", "chromium"):
            quietly("apt-get", "update") and quietly("apt-get", "install", "-y", "chromium")
    if quietly(sys.executable, "-m", "playwright", "install", "chromium"):
        from playwright.sync_api import sync_playwright
        with sync_playwright() as tool:
            return tool.chromium.executable_path
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("--images", type=Path, help="writes the pictures of the documentation into this directory")
    arguments = parser.parse_args()
    if not with_packages():
        return print("test_dashboard: skipped, because the packages playwright and pyarrow are missing and cannot be installed")
    browser = find_browser()
    if browser is None:
        return print("test_dashboard: skipped, because no Chromium is installed and none can be")
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from dashboard import walk
    walk.main(arguments.program.resolve(), browser, arguments.images)


if __name__ == "__main__":
    main()
