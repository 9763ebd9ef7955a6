"""Runs that go on, end or vanish while they are looked at, and a server that stops."""

import re
import shutil
import time

from . import runs
from .site import Server, Site, chromium, eventually


def follow(site, program, root):
    """A run that is being trained: its card appears by itself, and its pages follow it."""
    page = site.go("#/", ".run-card")
    process = runs.train(program, root / "live", ["run.steps=400", "value_pretraining.steps=0", "records.every=5"], wait=False)
    try:
        page.wait_for_selector('.run-card[data-run="live"]', timeout=30_000)
        eventually(page, lambda: "running" in page.locator('.run-card[data-run="live"]').inner_text(), "its state")
        site.go("#/run/live", ".plot svg")
        lags = []
        for _ in range(3):
            before = step_of(page)
            eventually(page, lambda: step_of(page) > before, "the next step is shown")
            lags.append(lag(page, root / "live"))
        print(f"    a running run is followed {max(lags):.1f} s behind at most")
        assert max(lags) <= 2.5, lags
        site.go("#/run/live/rollouts", ".row a, .nothing")
        shown = page.locator(".count")
        before = shown.inner_text() if shown.count() else ""
        eventually(page, lambda: shown.count() and shown.inner_text() != before, "new rollouts are counted", 40)
    finally:
        process.terminate()
        process.wait(timeout=60)
    eventually(page, lambda: "stopped" in page.locator(".run-header").inner_text(), "a stopped run")


def step_of(page):
    return int(re.search(r"step ([\d,]+) of", page.locator(".run-header").inner_text())[1].replace(",", ""))


def lag(page, run):
    """Seconds from the writing of a row until the page shows it."""
    step = runs.metrics(run)[-1]["training/global_step"]
    written = (run / "metrics.jsonl").stat().st_mtime
    eventually(page, lambda: step_of(page) >= step, f"step {step}")
    return max(0.0, time.time() - written) if step_of(page) == step else 0.0


def lose_connection(site, program, root, server):
    """The loss is shown and the page comes back by itself when the server does."""
    page = site.go("#/", ".run-card")
    eventually(page, lambda: site.text("#connection") == "live", "the connection")
    site.expects_loss = True
    server.stop()
    eventually(page, lambda: "connection lost" in site.text("#connection"), "the loss is shown")
    page.click("text=Studies")
    page.wait_for_selector(".problem")
    assert "does not answer" in site.text(".problem")
    again = Server(program, root, server.port)
    server.process = again.process
    eventually(page, lambda: site.text("#connection") == "live", "the connection is back", 40)
    page.click("text=Try again")
    page.wait_for_selector(".card")
    site.expects_loss = False


def lose_run(site, root):
    """A run that is deleted while it is looked at."""
    page = site.go("#/run/live", ".plot svg")
    site.expects_loss = True
    shutil.rmtree(root / "live")
    eventually(page, lambda: "does not exist any longer" in page.locator("main").inner_text(), "the run is gone")
    page.goto(site.url + "#/")
    page.wait_for_selector(".run-card")
    assert page.locator('.run-card[data-run="live"]').count() == 0
    site.expects_loss = False


def nothing_yet(program, browser_path, directory):
    """A directory without runs says how to start one."""
    directory.mkdir()
    server = Server(program, directory)
    try:
        with chromium(browser_path) as browser:
            site = Site(browser, server.url)
            site.open()
            site.go("#/", ".nothing")
            assert "vapo train" in site.text(".nothing")
            site.go("#/studies", ".nothing")
            assert "vapo ablate" in site.text(".nothing")
    finally:
        server.stop()
