"""The report of a run: one file that needs nothing else."""

import subprocess

from .site import DESKTOP, PHONE, eventually


def check(browser, program, run, path):
    subprocess.run([program, "report", run, "-o", path], check=True, stdout=subprocess.DEVNULL)
    print(f"    a report has {path.stat().st_size / 1e6:.2f} MB")
    assert path.stat().st_size < 5_000_000
    for size, scheme in [(DESKTOP, "light"), (PHONE, "dark")]:
        problems = []
        context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:")) or problems.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector(".token")
        assert page.locator(".report-choice").count() == 20
        assert page.locator(".report-charts svg").count() >= 4
        page.locator(".report-choice").nth(7).click()
        eventually(page, lambda: page.locator("h3", has_text="8 of 20").count() == 1, "the chosen rollout")
        page.locator(".scope").focus()
        for key in ["2", "ArrowRight", "End"]:
            page.keyboard.press(key)
        eventually(page, lambda: "advantage" in page.locator(".legend").inner_text(), "colored by advantage")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert not problems and wide <= 0, (problems, wide)
        context.close()
