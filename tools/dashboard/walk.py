"""The walk through all pages, in the order in which a reader comes to them."""

import tempfile
import time
from pathlib import Path

from . import live, pages, report, runs
from .site import DESKTOP, PHONE, Server, Site, chromium

#: Every page, with what must be there.
PLACES = {
    "runs": ("#/", ".run-card"), "curves": ("#/run/seen", ".plot svg"), "several": ("#/run/seen?with=grpo", ".grid-table"),
    "story": ("#/run/seen/story", ".milestones"), "rollouts": ("#/run/seen/rollouts", ".row a"), "critic": ("#/run/seen/critic", ".picture svg"),
    "config": ("#/run/seen/config", ".grid-table"), "studies": ("#/studies", ".card"), "study": ("#/study/{study}", ".interval"),
    "hostile rollouts": ("#/run/hostile/rollouts", ".row a"), "hostile response": ("#/run/hostile/response/10/1", ".token"),
    "a line of 1 MB": ("#/run/hostile/response/10/8", ".token"), "long response": ("#/run/hostile/response/10/9?by=advantage", ".token"),
    "hostile group": ("#/run/hostile/group/10/{hostile}", ".response-card"), "damaged": ("#/run/damaged/rollouts", ".notes"), "without critic": ("#/run/grpo/critic", ".nothing"),
    "microscope": ("#/run/seen/response/{wrong}?by=advantage", ".token"), "group": ("#/run/seen/group/{group}", ".response-card"),
}


def main(program, browser_path, images):
    with tempfile.TemporaryDirectory() as place:
        root, begin = Path(place) / "runs", time.monotonic()
        facts = make_runs(program, root)
        print(f"runs made in {time.monotonic() - begin:.0f} s")
        server = Server(program, root)
        try:
            with chromium(browser_path) as browser:
                site = Site(browser, server.url)
                site.open()
                for check in [pages.runs, pages.curves, pages.comparison, pages.rollouts, pages.many_rollouts, pages.group, pages.microscope, pages.long_response,
                              pages.hostile, pages.critic, pages.story, pages.config, pages.studies, pages.damage]:
                    begin = time.monotonic()
                    check(site, facts)
                    site.check(check.__name__)
                    print(f"{check.__name__}: {time.monotonic() - begin:.1f} s")
                looks(site, facts, images)
                live.follow(site, program, root)
                live.lose_connection(site, program, root, server)
                live.lose_run(site, root)
                report.check(browser, program, root / "seen", Path(place) / "report.html")
        finally:
            server.stop()
        live.nothing_yet(program, browser_path, Path(place) / "empty")


def make_runs(program, root):
    root.mkdir()
    runs.train(program, root / "seen", runs.SEEN)
    runs.train(program, root / "grpo", ["algorithm.preset=grpo", "run.steps=6"])
    hostile = runs.hostile(root / "seen", root / "hostile")
    runs.damaged(root / "seen", root / "damaged")
    many = runs.large(root / "seen", root / "many")
    study = runs.study(program, root / "study")
    rows = runs.records(root / "seen")
    wrong = next(row for row in reversed(rows) if row["verdict"] == "wrong" and row["response_tokens"] > 12)
    mixed = runs.mixed_group(rows)
    return {
        "root": root, "rows": rows, "metrics": runs.metrics(root / "seen"), "hostile_rows": hostile, "many": many, "wrong": wrong, "mixed": mixed, "study": study,
        "names": {"wrong": f"{wrong['step']}/{wrong['row']}", "group": f"{mixed[0]['step']}/{mixed[0]['prompt_id']}", "hostile": hostile[0]["prompt_id"], "study": "study"},
    }


def looks(site, facts, images):
    """Every page in both schemes and sizes: nothing is wider than the window, nothing is said in the console."""
    for scheme in ["light", "dark"]:
        for size_name, size in [("desktop", DESKTOP), ("phone", PHONE)]:
            page = site.open(size, scheme)
            for name, (place, wait_for) in PLACES.items():
                site.go(place.format(**facts["names"]), wait_for)
                page.wait_for_timeout(350)
                site.check(f"{name}, {scheme}, {size_name}")
                if images:
                    take(page, images, name, scheme, size_name)
    site.open()


#: The pictures of the documentation.
PICTURES = {
    ("several", "dark", "desktop"): "curves", ("rollouts", "light", "desktop"): "rollouts", ("microscope", "light", "desktop"): "microscope",
    ("group", "light", "desktop"): "group",
}


def take(page, images, name, scheme, size):
    """A picture for the documentation; the others go below it, to be looked at and thrown away."""
    images.mkdir(parents=True, exist_ok=True)
    chosen = PICTURES.get((name, scheme, size))
    path = images / f"dashboard-{chosen}.png" if chosen else images / "all" / f"{name.replace(' ', '-')}-{scheme}-{size}.png"
    path.parent.mkdir(exist_ok=True)
    if name == "microscope":
        page.locator(".scope").focus()
        page.keyboard.press("n")
        page.evaluate("document.querySelector('.microscope').scrollIntoView({ block: 'start' })")
        page.evaluate("scrollBy(0, -60)")
    if chosen == "microscope":
        page.locator(".microscope").screenshot(path=path)
    else:
        page.screenshot(path=path)
    assert path.stat().st_size < 200_000 or not chosen, f"{path} has {path.stat().st_size} bytes"
