// Signs that several pages show: the state of a run, its alarms, tags, notes.

import { h } from "./dom.js";
import { count, stateOf } from "./format.js";
import { visible } from "./text.js";

const SIGNS = { running: "●", stopped: "■", finished: "✓", failed: "✕" };

/** The state of a run as a sign and a word. */
export function stateBadge(state) {
  const name = stateOf(state);
  const where = state?.running ? `process ${state.running.pid ?? "unknown"} on ${visible(state.running.host ?? "")}` : visible(state?.failed?.reason ?? "");
  return h("span", { class: `state ${SIGNS[name] ? name : "unknown"}`, title: where }, h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[name] ?? "?"), name);
}

export function alarmBadge(alarms) {
  return alarms > 0 && h("span", { class: "alarm-badge" }, h("span", { "aria-hidden": "true" }, "▲ "), count(alarms, "alarm"));
}

/** What could not be read, or not completely. */
export function notesBox(notes) {
  if (!notes || notes.length === 0) return null;
  return h("details", { class: "notes", open: notes.length < 4 }, h("summary", {}, `${count(notes.length, "note")} on the files of this run`),
    h("ul", {}, notes.slice(0, 50).map((note) => h("li", {}, visible(note)))));
}

/** A place where nothing is yet, with what to do about it. */
export function nothing(title, ...text) {
  return h("div", { class: "nothing" }, h("h2", {}, title), ...text.map((part) => (typeof part === "string" ? h("p", {}, part) : part)));
}
