// The story of a run: what happened when, alarms with what they mean, and how it differs from its preset.

import { nothing, notesBox } from "./badge.js";
import { alarmsCard, milestonesCard, settingsCard } from "./cards.js";
import { fill, h } from "./dom.js";
import { count } from "./format.js";
import { address } from "./router.js";
import { runFrame } from "./run.js";

export async function storyPage(context) {
  const { body, data } = await runFrame(context, "story", (changed) => fill(body, story(changed)));
  fill(body, story(data));
}

function story({ entry, story: { settings = [], milestones = [], alarms = [], notes = [] } = {}, records, notes: runNotes = [] }) {
  return [
    notesBox([...new Set([...runNotes, ...notes, ...(records?.notes ?? [])])]),
    h("div", { class: "columns" }, milestonesCard(milestones), alarmsCard(alarms), chosenCard(entry, records)),
    settingsCard(entry.preset, settings),
  ];
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
      to("Answers without a readable result", { verdict: "malformed" }), to(`Wrong answers of step ${last}`, { verdict: "wrong", step_min: last, step_max: last })));
}
