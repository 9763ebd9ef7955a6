// The story of a run: what happened when, alarms with what they mean, and how it differs from its preset.

import { nothing, notesBox } from "./badge.js";
import { fill, h } from "./dom.js";
import { count } from "./format.js";
import { address } from "./router.js";
import { runFrame } from "./run.js";
import { visible } from "./text.js";

export async function storyPage(context) {
  const { body, data } = await runFrame(context, "story", (changed) => fill(body, story(changed)));
  fill(body, story(data));
}

function story({ entry, story: { settings = [], milestones = [], alarms = [], notes = [] } = {}, records, notes: runNotes = [] }) {
  return [
    notesBox([...runNotes, ...notes, ...(records?.notes ?? [])]),
    h("div", { class: "columns" }, milestonesCard(milestones), alarmsCard(alarms), chosenCard(entry, records)),
    settingsCard(entry, settings),
  ];
}

export function milestonesCard(milestones) {
  return h("section", { class: "card" }, h("h2", {}, "Milestones"), milestones.length === 0 ? h("p", { class: "quiet" }, "Nothing has happened yet.")
    : h("ol", { class: "milestones" }, milestones.map(({ step, text }) => h("li", {}, h("span", { class: "step" }, `step ${step}`), h("span", {}, visible(text))))));
}

export function alarmsCard(alarms) {
  if (alarms.length === 0) return h("section", { class: "card" }, h("h2", {}, "Alarms"), h("p", {}, "No alarm was raised."));
  const span = ([from, to]) => (from === to ? `step ${from}` : `steps ${from} to ${to}`);
  return h("section", { class: "card" }, h("h2", {}, "Alarms"), alarms.map((alarm) => h("div", { class: "alarm" },
    h("h3", {}, h("span", { "aria-hidden": "true" }, "▲ "), visible(alarm.sign)), h("p", {}, visible(alarm.message)),
    h("p", { class: "quiet" }, alarm.spans.slice(0, 8).map(span).join(", "), alarm.spans.length > 8 && ` and ${count(alarm.spans.length - 8, "more time", "more times")}`),
    h("p", { class: "explanation" }, visible(alarm.explanation)))));
}

/** Ways to the rollouts that are worth reading. */
function chosenCard(entry, records) {
  const to = (text, filters) => h("li", {}, h("a", { href: address(["run", entry.id, "rollouts"], filters) }, text));
  if (!records || records.steps.length === 0) return nothing("No recorded rollouts", "records.every sets how often a run records them.");
  const last = records.steps.at(-1);
  return h("section", { class: "card" }, h("h2", {}, "Rollouts to read"),
    h("p", { class: "quiet" }, `${count(records.steps.length, "recorded step")}, the last one is ${last}`),
    h("ul", {}, to("Wrong answers that the critic believed in", { verdict: "wrong", sort: "mean_value", descending: true }),
      to("Right answers that it did not expect", { verdict: "right", sort: "mean_value" }),
      to("The longest answers", { sort: "length", descending: true }), to("Answers that were cut off", { stop_reason: "length" }),
      to("Answers without a readable result", { verdict: "malformed" }), to(`Wrong answers of step ${last}`, { verdict: "wrong", from: last, to: last })));
}

export function settingsCard(entry, settings) {
  return h("section", { class: "card" }, h("h2", {}, `Settings that differ from preset ${visible(entry.preset ?? "")}`),
    settings.length === 0 ? h("p", {}, "None: the run has the values of its preset.")
      : h("div", { class: "scrolling" }, h("table", { class: "grid-table" }, h("thead", {}, h("tr", {}, ["setting", "preset", "this run", "meaning"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, settings.map(({ key, preset, value, doc }) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, visible(key))), h("td", {}, h("code", {}, visible(String(preset ?? "–")))), h("td", {}, h("code", {}, h("strong", {}, visible(String(value ?? "–"))))), h("td", { class: "doc" }, visible(doc ?? ""))))))));
}
