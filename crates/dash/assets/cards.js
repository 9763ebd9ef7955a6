// The story of a run in cards, for its page and for reports.

import { h } from "./dom.js";
import { count } from "./format.js";
import { visible } from "./text.js";

export function milestonesCard(milestones) {
  return h("section", { class: "card" }, h("h2", {}, "Milestones"), milestones.length === 0 ? h("p", { class: "quiet" }, "Nothing has happened yet.")
    : h("ol", { class: "milestones" }, milestones.map(({ step, text }) => h("li", {}, h("span", { class: "step" }, `step ${step}`), h("span", {}, visible(text))))));
}

export function alarmsCard(alarms) {
  if (alarms.length === 0) return h("section", { class: "card" }, h("h2", {}, "Alarms"), h("p", {}, "No alarm was raised."));
  const span = ([from, to]) => (from === to ? `step ${from}` : `steps ${from} to ${to}`);
  return h("section", { class: "card" }, h("h2", {}, "Alarms"), alarms.map((alarm) => h("div", { class: "alarm" },
    h("h3", {}, h("span", { "aria-hidden": "true" }, "▲ "), visible(alarm.sign)), alarm.message && h("p", {}, visible(alarm.message)),
    h("p", { class: "quiet" }, alarm.spans.slice(0, 8).map(span).join(", "), alarm.spans.length > 8 && ` and ${count(alarm.spans.length - 8, "more time", "more times")}`),
    h("p", { class: "explanation" }, visible(alarm.explanation)))));
}

export function settingsCard(preset, settings) {
  return h("section", { class: "card" }, h("h2", {}, `Settings that differ from preset ${visible(preset ?? "")}`),
    settings.length === 0 ? h("p", {}, "None: the run has the values of its preset.")
      : h("div", { class: "scrolling" }, h("table", { class: "grid-table" }, h("thead", {}, h("tr", {}, ["setting", "preset", "this run", "meaning"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, settings.map(({ key, preset, default: usual, value, doc }) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, visible(key))), h("td", {}, h("code", {}, visible(String(preset ?? usual ?? "–")))), h("td", {}, h("code", {}, h("strong", {}, visible(String(value ?? "–"))))), h("td", { class: "doc" }, visible(doc ?? ""))))))));
}
