"""The server and the browser of the test: what is asked for, what the console says, and what is seen."""

import re
import select
import subprocess
import time
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


class Server:
    """`vapo dash` over a directory, on a port of its own or a given one."""

    def __init__(self, program, directory, port=0):
        self.process = subprocess.Popen([program, "dash", directory, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.read_url()
        self.port = int(re.search(r":(\d+)/", self.url)[1])

    def read_url(self):
        """The first line has the address."""
        if select.select([self.process.stdout], [], [], 30)[0]:
            if found := re.search(r"http://\S+/", self.process.stdout.readline()):
                return found[0]
        self.process.kill()
        raise AssertionError(f"vapo dash prints no address: {self.process.stderr.read()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


class Site:
    """A browser's view of the pages. Whatever the console says or is asked of another address is a failure."""

    def __init__(self, browser, url):
        self.browser, self.url, self.problems, self.expects_loss = browser, url, [], False
        self.page = None

    def open(self, size=DESKTOP, scheme="light"):
        if self.page:
            self.page.context.close()
        context = self.browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True, permissions=["clipboard-read", "clipboard-write"])
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda message: self.note(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.note(f"error: {error}"))
        self.page.on("request", lambda request: self.check_request(request.url))
        return self.page

    def note(self, problem):
        if not self.expects_loss:
            self.problems.append(problem)

    def check_request(self, url):
        if not url.startswith((self.url, "data:", "blob:")):
            self.problems.append(f"request to {url}")

    def go(self, place, wait_for):
        """Opens a page anew and waits until something is there."""
        self.page.goto("about:blank")
        self.page.goto(self.url + place)
        self.page.wait_for_selector(wait_for)
        self.check(place)
        return self.page

    def check(self, place):
        assert not self.problems, f"{place}: {self.problems}"
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{place}: {wide} pixels wider than the window"

    def text(self, selector):
        return self.page.locator(selector).first.inner_text()


@contextmanager
def chromium(path):
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def eventually(page, condition, what, seconds=20):
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        # Unlike `time.sleep`, this lets the browser's messages through, such as a new address.
        page.wait_for_timeout(100)
