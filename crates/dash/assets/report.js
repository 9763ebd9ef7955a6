// A report: one file with the story of a run, its pictures, and some of its responses under the microscope.

import { stateBadge, notesBox } from "./badge.js";
import { alarmsCard, milestonesCard, settingsCard } from "./cards.js";
import { fill, h, picture } from "./dom.js";
import { given, responseFacts, verdictBadge } from "./facts.js";
import { count, number, percent } from "./format.js";
import { microscope } from "./microscope.js";
import { visible } from "./text.js";

const report = JSON.parse(document.getElementById("report").textContent);

function reportPage({ story, charts, pictures, chosen, notes, program }) {
  const entry = story.run;
  return [
    h("header", { class: "run-header" },
      h("div", { class: "title" }, h("h1", {}, visible(entry.id)), stateBadge(entry.state), h("span", { class: "quiet" }, `step ${entry.step} of ${entry.total}`),
        entry.accuracy_after !== null && h("span", { class: "quiet" }, `held-out accuracy ${percent(entry.accuracy_before)} → `, h("strong", {}, percent(entry.accuracy_after)))),
      h("p", { class: "quiet" }, `Model ${visible(entry.model)}, task ${visible(entry.task)}, preset ${visible(entry.preset)}, seed ${entry.seed}. Made by vapo ${program}.`)),
    notesBox([...story.notes, ...notes]),
    h("section", { class: "charts report-charts" }, charts.map(pictureCard)),
    h("div", { class: "columns report-story" }, milestonesCard(story.milestones), alarmsCard(story.alarms)),
    settingsCard(entry.preset, story.settings),
    pictures.length > 0 && h("section", { class: "columns wide-columns report-charts" }, pictures.map(pictureCard)),
    responses(chosen),
  ];
}

function pictureCard({ title, about, svg }) {
  return h("figure", { class: "card chart" }, h("figcaption", {}, h("span", { class: "chart-title" }, visible(title))), about && h("p", { class: "quiet" }, about), h("div", { class: "picture" }, picture(svg, title)));
}

/** The chosen responses: a list with the reason for each, and the one that is looked at. */
function responses({ rule, of, responses: list }) {
  if (list.length === 0) return h("section", { class: "card" }, h("h2", {}, "Rollouts"), h("p", {}, "This run has recorded no rollouts."));
  const place = h("div", { class: "report-response", tabindex: "-1" });
  let [shown, abort] = [0, new AbortController()];
  const buttons = list.map(({ why, response }, index) => h("button", { type: "button", class: "report-choice", onclick: () => show(index) },
    h("span", { class: "report-choice-head" }, verdictBadge(response.verdict), h("span", { class: "quiet" }, `step ${response.step}, reward ${number(response.reward)}`)),
    h("span", {}, why), h("span", { class: "given report-excerpt" }, visible(response.response.slice(0, 80)))));
  const show = (index) => {
    shown = index;
    abort.abort();
    abort = new AbortController();
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
    const { why, response } = list[index];
    fill(place, h("h3", {}, `${index + 1} of ${list.length}: ${why}`), h("p", { class: "prompt" }, given(response.prompt, 4000)), responseFacts(response), microscope(response, { quantity: "advantage" }, undefined, abort.signal));
  };
  const step = (by) => h("button", { type: "button", onclick: () => show((shown + by + list.length) % list.length) }, by < 0 ? "‹ before" : "next ›");
  show(0);
  return h("section", { class: "card" }, h("h2", {}, `${list.length} of ${count(of, "rollout")}`), h("p", { class: "quiet" }, rule),
    h("div", { class: "report-rollouts" }, h("div", { class: "report-choices", role: "group", "aria-label": "Chosen rollouts" }, buttons), h("div", {}, h("p", { class: "buttons" }, step(-1), step(1)), place)));
}

fill(document.getElementById("page"), reportPage(report));
document.title = `${visible(report.story.run.id)} · vapo report`;
