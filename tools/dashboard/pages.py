"""What each page shows, compared with the files of the run."""

import csv
import io
import json
import math

from .runs import accuracy
from .site import eventually

REWARD = "critic/rewards/mean"


def number(text):
    """A shown number; the pages write a real minus sign."""
    return float(text.replace("\u2212", "-").replace(",", "").replace("%", "").strip())


def close(shown, exact, digits=4):
    assert math.isclose(number(shown), exact, rel_tol=10 ** (1 - digits), abs_tol=6e-5), (shown, exact)


def runs(site, facts):
    page = site.go("#/", ".run-card")
    names = {card.get_attribute("data-run") for card in page.locator(".run-card").all()}
    assert {"seen", "grpo", "hostile", "damaged", "many"} <= names, names
    seen = page.locator('.run-card[data-run="seen"]')
    last = [value for value in map(accuracy, facts["metrics"]) if value is not None][-1]
    assert f"{100 * last:.1f} %" in seen.inner_text(), seen.inner_text()
    steps = facts["metrics"][-1]["training/global_step"]
    assert "finished" in seen.inner_text() and f"step {steps} of {steps}" in seen.inner_text()
    page.get_by_label("Search").fill("grpo")
    eventually(page, lambda: page.locator('.run-card[data-run="grpo"]').count() == 1 and page.locator('.run-card[data-run="seen"]').count() == 0, "the search leaves grpo")
    assert "search=grpo" in page.url
    page.get_by_label("Search").fill("no such run")
    page.wait_for_selector("text=No run matches")
    page.get_by_label("Search").fill("")
    page.get_by_label("State").select_option("finished")
    eventually(page, lambda: page.locator('.run-card[data-run="seen"]').count() == 1, "finished runs")
    page.get_by_label("State").select_option("")
    for run in ["seen", "grpo"]:
        page.get_by_label(f"compare {run}", exact=True).check()
    page.click("text=Compare 2 runs")
    page.wait_for_selector(".plot svg")
    assert page.locator(".chip").count() == 2


def readout(page, chart):
    return [row.split("\t") for row in chart.locator(".readout").inner_text().splitlines()]


def chart_of(page, title):
    return page.locator(".chart", has=page.locator(f".chart-title:text-is('{title}')"))


def curves(site, facts):
    page = site.go("#/run/seen", ".plot svg")
    rewards = [(row["training/global_step"], row[REWARD]) for row in facts["metrics"] if REWARD in row]
    chart = chart_of(page, REWARD)
    chart.locator(".plot svg").wait_for()
    plot = chart.locator(".plot")
    plot.focus()
    for key, (step, reward) in [("Home", rewards[0]), ("ArrowRight", rewards[1]), ("End", rewards[-1])]:
        page.keyboard.press(key)
        eventually(page, lambda: readout(page, chart)[0][2] == f"at {step}", f"crosshair at {step}")
        close(readout(page, chart)[0][1], reward)
    with page.expect_download() as download:
        chart.get_by_text("CSV", exact=True).click()
    table = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    for row, (step, reward) in zip(table, rewards, strict=True):
        values = [float(value) for value in row.values() if value.replace(".", "").replace("-", "").replace("e", "").isdigit()]
        assert values[-2:] == [step, reward], (row, step, reward)
    with page.expect_download() as download:
        chart.get_by_text("SVG", exact=True).click()
    assert download.value.path().read_text().startswith("<svg")
    with page.expect_download() as download:
        chart.get_by_text("PNG", exact=True).click()
    assert download.value.path().read_bytes()[:4] == b"\x89PNG"
    zoom(page, chart, plot)
    page.get_by_label("Smoothing").fill("0.9")
    eventually(page, lambda: abs(number(readout(page, chart)[0][1]) - rewards[-1][1]) > 1e-4, "a smoothed value")
    assert "smooth=0.9" in page.url
    page.get_by_label("x-axis").select_option("samples")
    last = facts["metrics"][-1]["training/responses"]
    eventually(page, lambda: f"at {last:,}" in chart.locator(".readout").inner_text(), "the samples as the x-axis")
    choose_metric(page)


def zoom(page, chart, plot):
    box = plot.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.4 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], middle, steps=4)
    page.mouse.up()
    eventually(page, lambda: "from=" in page.url and "to=" in page.url, "a range in the address")
    assert page.get_by_label("Range from").input_value() != ""
    page.go_back()
    eventually(page, lambda: "from=" not in page.url and page.get_by_label("Range from").input_value() == "", "the whole range after going back")
    page.get_by_label("Range from").fill("3")
    page.get_by_label("Range to").fill("9")
    eventually(page, lambda: "from=3" in page.url and "to=9" in page.url, "a range that was typed")
    plot.dblclick()
    eventually(page, lambda: "from=" not in page.url, "the whole range after a double click")


def choose_metric(page):
    page.get_by_label("Find a metric").fill("clip_high")
    page.get_by_label("clip_high_frac").check()
    see_chart(page, "vapo/clip_high_frac")
    page.get_by_label("Find a metric").fill("")
    page.reload()
    see_chart(page, "vapo/clip_high_frac")


def see_chart(page, title):
    """Charts are loaded when they can be seen."""
    chart_of(page, title).scroll_into_view_if_needed()
    chart_of(page, title).locator(".plot svg").wait_for()


def comparison(site, facts):
    page = site.go("#/run/seen?with=grpo", ".grid-table")
    chart = chart_of(page, REWARD)
    chart.locator(".plot svg").wait_for()
    eventually(page, lambda: len(readout(page, chart)) == 2, "values of two runs")
    settings = page.locator("section", has_text="Settings that differ").inner_text()
    assert "algorithm.preset" in settings and '"grpo"' in settings, settings
    page.get_by_label("Remove grpo").click()
    eventually(page, lambda: len(readout(page, chart)) == 1 and "with=" not in page.url, "one run")


def shown_count(page):
    return page.locator(".count").inner_text()


def rollouts(site, facts):
    rows = facts["rows"]
    page = site.go("#/run/seen/rollouts", ".row a")
    assert shown_count(page) == f"{len(rows):,} responses", shown_count(page)
    wrong = [row for row in rows if row["verdict"] == "wrong"]
    page.get_by_label("Verdict").select_option("wrong")
    eventually(page, lambda: shown_count(page).startswith(f"{len(wrong):,} of {len(rows):,} "), "wrong answers")
    page.get_by_label("Order").select_option("length")
    page.get_by_label("descending").check()
    longest = max(row["response_tokens"] for row in wrong)
    eventually(page, lambda: f"{longest} tokens" in page.locator(".row").first.inner_text(), "the longest first")
    page.get_by_label("Length from").fill(str(longest))
    same = [row for row in wrong if row["response_tokens"] >= longest]
    eventually(page, lambda: shown_count(page).startswith(f"{len(same):,} of "), "a least length")
    page.reload()
    page.wait_for_selector(".row a")
    assert shown_count(page).startswith(f"{len(same):,} of ") and page.get_by_label("Length from").input_value() == str(longest)
    page.get_by_text("Clear", exact=True).click()
    eventually(page, lambda: shown_count(page) == f"{len(rows):,} responses", "no filter")
    some = rows[len(rows) // 2]
    page.get_by_label("Text", exact=True).fill(some["prompt"].upper()[5:])
    same = [row for row in rows if some["prompt"][5:].lower() in f"{row['prompt']}\n{row['response']}\n{row['answer']}".lower()]
    eventually(page, lambda: shown_count(page).startswith(f"{len(same):,} of "), "a text")
    page.get_by_label("Text", exact=True).fill("nothing like this")
    eventually(page, lambda: "no response matches" in shown_count(page), "no rollout")
    page.get_by_text("Clear", exact=True).click()
    page.get_by_label("Reward from").fill("1")
    right = [row for row in rows if row["reward"] >= 1]
    eventually(page, lambda: shown_count(page).startswith(f"{len(right):,} of "), "a least reward")
    by_keyboard(page)


def by_keyboard(page):
    page.locator(".list").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.wait_for_selector(".row.is-active a")
    page.keyboard.press("Enter")
    page.wait_for_selector(".token")
    page.go_back()
    page.wait_for_selector(".row a")
    assert "reward_min=1" in page.url and page.get_by_label("Reward from").input_value() == "1"


def many_rollouts(site, facts):
    """10^5 rollouts: few elements; how long filters take is printed (within 300 ms on a quiet machine)."""
    page = site.go("#/run/many/rollouts", ".row a")
    assert shown_count(page) == f"{facts['many']:,} responses", shown_count(page)
    assert page.locator(".row").count() < 60
    took = []
    for text in ["7a", "9=", "+3"]:
        with page.expect_request_finished(lambda request: "text=" in request.url) as request:
            page.get_by_label("Text", exact=True).fill(text)
        took.append(request.value.timing["responseEnd"] / 1000)
        eventually(page, lambda: 0 < int(shown_count(page).split()[0].replace(",", "")) < facts["many"], "fewer rollouts")
    print(f"    filters over {facts['many']:,} rollouts: {', '.join(f'{1000 * seconds:.0f} ms' for seconds in took)}")
    page.get_by_text("Clear", exact=True).click()
    eventually(page, lambda: shown_count(page) == f"{facts['many']:,} responses", "all again")
    page.evaluate("document.querySelector('.list').scrollTop = 1e9")
    eventually(page, lambda: "step 400" in page.locator(".row").last.inner_text(), "the last rows")


def group(site, facts):
    members = facts["mixed"]
    page = site.go(f"#/run/seen/group/{facts['names']['group']}", ".response-card")
    assert page.locator(".response-card").count() == len(members)
    for card, row in zip(page.locator(".response-card").all(), members):
        text = card.inner_text()
        assert row["verdict"] in text and f"{row['response_tokens']} tokens" in text and row["response"] in text, (text, row["response"])
        assert card.locator("svg.miniature path.line").count() == 1
    right = sum(row["verdict"] == "right" for row in members)
    assert f"{right} of {len(members)}" in site.text(".facts")
    page.get_by_label("Color and curve").select_option("advantage")
    page.locator(".response-card a").first.click()
    page.wait_for_selector(".token")
    assert "by=advantage" in page.url


def details(page):
    lines = page.locator(".token-details tr").all()
    return dict(line.inner_text().split("\t") for line in lines)


def microscope(site, facts):
    row = facts["wrong"]
    page = site.go(f"#/run/seen/response/{facts['names']['wrong']}", ".token")
    assert [token.inner_text() for token in page.locator(".token").all()] == row["token"]
    assert page.locator(".line-curve path.line").count() >= 1
    page.locator(".token").nth(4).hover()
    eventually(page, lambda: "token 5 of" in site.text(".token-details"), "the token under the pointer")
    numbers_of_token(page, row, 4)
    page.locator(".scope").focus()
    page.keyboard.press("Home")
    for token in range(3):
        eventually(page, lambda: f"token {token + 1} of {row['response_tokens']}" in site.text(".token-details"), "the next token")
        numbers_of_token(page, row, token)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    eventually(page, lambda: f"token={row['response_tokens']}" in page.url, "the last token in the address")
    wrong = page.locator(".token.is-wrong")
    assert wrong.count() == 1, "the built-in task knows the first wrong token"
    page.keyboard.press("n")
    eventually(page, lambda: "the first wrong token" in site.text(".token-details"), "the first wrong token")
    assert page.locator(".token.is-active.is-wrong").count() == 1
    for key, name in [("2", "advantage"), ("5", "entropy"), ("7", "clip"), ("q", "sampler log-prob"), ("1", "value")]:
        page.keyboard.press(key)
        eventually(page, lambda: site.text('.choices [aria-checked="true"]').split("\n")[-1].endswith(name), f"colored by {name}")
    page.keyboard.press("]")
    page.keyboard.press("w")
    eventually(page, lambda: "spaces=1" in page.url and page.get_by_label("spaces visible").is_checked(), "spaces visible")
    colors_follow_numbers(page, row)
    page.evaluate("""() => {
      const tokens = document.querySelectorAll(".token");
      getSelection().setBaseAndExtent(tokens[1].firstChild, 0, tokens[5].firstChild, 1);
    }""")
    page.keyboard.press("Control+c")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "".join(row["token"][1:6]), copied
    page.reload()
    page.wait_for_selector(".token")
    assert page.get_by_label("spaces visible").is_checked()


def numbers_of_token(page, row, token):
    shown = details(page)
    for name, column in [("value", "value"), ("advantage", "advantage"), ("return", "return"), ("log-prob", "logprob"), ("entropy", "entropy"), ("ratio", "ratio")]:
        exact = row[column][token]
        assert math.isclose(number(shown[name]), exact, abs_tol=6e-5, rel_tol=5e-3), (name, shown[name], exact)
    assert shown["clip"] == {"none": "not clipped", "low": "clipped at the lower bound", "high": "clipped at the upper bound"}[row["clip"][token]]


def colors_follow_numbers(page, row):
    """Equal numbers have equal colors, and the greatest and the least value have different ones."""
    page.keyboard.press("2")
    eventually(page, lambda: "advantage" in site_choice(page), "colored by advantage")
    colors = page.evaluate("[...document.querySelectorAll('.token')].map((token) => token.style.backgroundColor)")
    order = sorted(range(len(colors)), key=lambda index: row["advantage"][index])
    assert colors[order[0]] != colors[order[-1]] or row["advantage"][order[0]] == row["advantage"][order[-1]]


def site_choice(page):
    return page.locator('.choices [aria-checked="true"]').inner_text()


def long_response(site, facts):
    """10^4 tokens: few elements however far one scrolls; what a frame takes is printed."""
    page = site.go("#/run/hostile/response/10/9", ".token")
    assert page.locator(".token").count() < 600
    frames = page.evaluate("""async () => {
      const scope = document.querySelector(".scope"), times = [];
      let last = performance.now();
      for (let step = 0; step < 60; step++) {
        scope.scrollTop += 500;
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - last);
        last = performance.now();
      }
      return times.sort((a, b) => a - b);
    }""")
    print(f"    scrolling 10,000 tokens: {frames[30]:.0f} ms a frame, {frames[-1]:.0f} ms at most")
    assert page.locator(".token").count() < 600
    page.locator(".scope").focus()
    page.keyboard.press("End")
    eventually(page, lambda: "token 10000 of 10000" in site.text(".token-details") and page.locator('.token[data-token="9999"]').is_visible(), "the last token")
    page.locator(".strip").click(position={"x": 300, "y": 20})
    eventually(page, lambda: "token 10000" not in site.text(".token-details"), "a click on the strip")


def hostile(site, facts):
    page = site.go("#/run/hostile/rollouts", ".row a")
    assert page.locator(".row").count() == len(facts["hostile_rows"])
    for row in range(len(facts["hostile_rows"])):
        site.go(f"#/run/hostile/response/10/{row}", ".token")
        page.get_by_text("The response as text").click()
        page.wait_for_selector(".whole-text:visible")
        assert page.evaluate("window.broken === undefined && !document.querySelector('main script, main img, main b, main textarea')"), row
        seen = page.locator(".sheet").inner_text()
        assert not any(character in seen for character in "\u202e\u200b\u200f\ufeff\x1b\0"), f"row {row} has invisible characters"
    tokens = facts["hostile_rows"][1]["token"]
    site.go("#/run/hostile/response/10/1", ".token")
    shown = {page.locator(f'.token[data-token="{index}"]').inner_text() for index, token in enumerate(tokens) if token == "\u202e"}
    assert shown <= {"\u2039rlo\u203a"}, shown
    site.go(f"#/run/hostile/group/10/{facts['names']['hostile']}", ".response-card")


def critic(site, facts):
    page = site.go("#/run/seen/critic", ".picture svg")
    assert page.locator(".picture svg").count() >= 3
    page.get_by_label("Recorded step").select_option(str(facts["rows"][-1]["step"]))
    step = facts["rows"][-1]["step"]
    card = page.locator("section", has=page.locator(f"h2:text-is('Calibration, step {step}')"))
    card.locator("summary").click()
    tokens = sum(row["response_tokens"] for row in facts["rows"] if row["step"] == step)
    counts = [number(row.locator("td").last.inner_text()) for row in card.locator("tbody tr").all()]
    assert sum(counts) == tokens, (counts, tokens)
    page.get_by_text("earlier").click()
    eventually(page, lambda: f"step={step - 1}" in page.url and f"Calibration, step {step - 1}" in page.locator("main").inner_text(), "the step before")
    site.go("#/run/grpo/critic", ".nothing")


def story(site, facts):
    page = site.go("#/run/seen/story", ".milestones")
    assert page.locator(".milestones li").count() >= 2
    settings = page.locator("section", has_text="Settings that differ from preset").inner_text()
    assert "rollout.group_size" in settings or "run.steps" in settings, settings
    page.get_by_text("The longest answers").click()
    page.wait_for_selector(".row a")
    longest = max(row["response_tokens"] for row in facts["rows"])
    eventually(page, lambda: f"{longest} tokens" in page.locator(".row").first.inner_text(), "the longest answer first")


def config(site, facts):
    page = site.go("#/run/seen/config", ".grid-table")
    few = page.locator(".grid-table tbody tr").count()
    page.get_by_label("all settings").check()
    eventually(page, lambda: page.locator(".grid-table tbody tr").count() > few, "all settings")
    page.get_by_label("Search").fill("run.steps")
    setting = page.locator(".grid-table tbody tr", has=page.locator("th code:text-is('run.steps')"))
    eventually(page, lambda: page.locator(".grid-table tbody tr").count() < few + 5 and setting.count() == 1, "the setting")
    assert setting.locator("td").first.inner_text() == "24", setting.inner_text()
    page.get_by_label("Search").fill("")
    page.get_by_label("all settings").uncheck()
    page.get_by_label("Compare with").select_option("grpo")
    eventually(page, lambda: '"grpo"' in page.locator(".grid-table").inner_text(), "the other run's preset")


def studies(site, facts):
    page = site.go("#/studies", ".card")
    page.get_by_role("link", name="small").click()
    page.wait_for_selector(".grid-table .interval")
    for arm in facts["study"]["arms"]:
        row = page.locator("tbody tr", has=page.locator(f"th:has-text('{arm['name']}')")).first
        assert f"{100 * arm['final_mean']:.1f} %" in row.inner_text(), (row.inner_text(), arm["final_mean"])
    assert page.locator(".picture svg").count() >= 1 and "<b>here</b>" in page.locator("main").inner_text()
    page.get_by_label("x-axis").select_option("samples")
    eventually(page, lambda: "axis=samples" in page.url, "the axis in the address")
    page.locator("summary", has_text="2 runs").first.click()
    page.get_by_role("link", name="seed 0").first.click()
    page.wait_for_selector(".plot svg")


def damage(site, facts):
    page = site.go("#/run/damaged", ".plot svg")
    site.go("#/run/damaged/rollouts", ".row a")
    eventually(page, lambda: "step-000009.parquet" in page.locator("main").inner_text(), "the damaged file is named")
    left = [row for row in facts["rows"] if row["step"] != 9]
    assert shown_count(page) == f"{len(left):,} responses", shown_count(page)
    site.expects_loss = True
    for place in ["#/run/missing", "#/nowhere", "#/run/seen/response/3/999999", "#/run/..%2F..%2Fetc", "#/run/%E0%A4%A"]:
        page.goto(site.url + place)
        page.wait_for_selector(".problem")
    page.get_by_text("All runs").click()
    page.wait_for_selector(".run-card")
    site.expects_loss = False
    assert json.dumps(site.problems) == "[]", site.problems
