"""Draws the live screen of a run as an SVG: python3 tools/screen_picture.py VAPO -o docs/images/screen.svg (needs tmux and rich)

Runs the built-in task in tmux, waits for a step, and turns what the terminal shows into a picture. `--columns` and `--rows` set
the size of the terminal, `--keys` presses keys before (`Tab`: the colors of values).
"""

import argparse
import io
import os
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console

# rich's own format loads a font from the web; a picture must not.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px "DejaVu Sans Mono", Menlo, Consolas, monospace; line-height: {line_height}px; }}
.{unique_id}-title {{ font: 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
PATIENCE = 900


def capture(vapo, arguments):
    """What the terminal shows, with escape codes."""
    with tempfile.TemporaryDirectory() as place:
        environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TMUX")}
        environment["LC_ALL"] = "C.UTF-8"

        def tmux(*command):
            whole = ["tmux", "-u", "-S", f"{place}/socket", "-f", "/dev/null", *command]
            return subprocess.run(whole, cwd=place, env=environment, check=True, capture_output=True, text=True).stdout

        command = shlex.join([str(vapo), "train", *arguments.train])
        tmux("new-session", "-d", "-x", str(arguments.columns), "-y", str(arguments.rows), command)
        try:
            end = time.monotonic() + PATIENCE
            while f"step {arguments.step}/" not in tmux("capture-pane", "-p"):
                assert time.monotonic() < end, f"step {arguments.step} did not come within {PATIENCE} s"
                time.sleep(0.05)
            for key in arguments.keys:
                tmux("send-keys", key)
                time.sleep(0.3)
            return tmux("capture-pane", "-e", "-p")
        finally:
            tmux("kill-server")


def picture(text, columns):
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    # Styles go on from line to line.
    for line in AnsiDecoder().decode(text.rstrip("\n")):
        console.print(line, no_wrap=True, overflow="crop", crop=True)
    return console.export_svg(title="vapo train", code_format=FORMAT, unique_id="screen")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("vapo", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--columns", type=int, default=110)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--step", type=int, default=40)
    parser.add_argument("--keys", nargs="*", default=[])
    parser.add_argument("train", nargs="*", help="arguments of `vapo train`, after --")
    arguments = parser.parse_args()
    text = capture(arguments.vapo.resolve(), arguments)
    arguments.output.write_text(picture(text, arguments.columns) + "\n")


if __name__ == "__main__":
    main()
