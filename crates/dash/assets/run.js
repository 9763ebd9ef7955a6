// What the pages of a run share: its name, state and figures, and the way from one page to another.

import { get } from "./api.js";
import { alarmBadge, stateBadge } from "./badge.js";
import { debounced, fill, h } from "./dom.js";
import { percent } from "./format.js";
import { onChange } from "./live.js";
import { address } from "./router.js";
import { visible } from "./text.js";

const TABS = [["curves", "Curves"], ["story", "Story"], ["rollouts", "Rollouts"], ["critic", "Critic"], ["config", "Config"]];

/** The runs that a page of a run is compared with. */
export function companions(parameters) {
  return (parameters.get("with") ?? "").split(",").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}

/** The value of the parameter `with` for some runs. */
export function withRuns(ids) {
  return ids.map(encodeURIComponent).join(",");
}

/**
 * The frame of a run's page: `data` is what the server knows about the run, `body` the place for the page, and `refreshed` is
 * called when the run has gone on.
 */
export async function runFrame({ root, parts, parameters, signal, place }, tab, refreshed) {
  const id = parts[1];
  let data = await get(["runs", id], {}, signal);
  const [header, body] = [h("header", { class: "run-header" }), h("div", { class: "run-body" })];
  const draw = () => fill(header, runHeader(data, tab, companions(parameters)));
  draw();
  place(h("a", { href: address(["run", id]) }, visible(id)));
  fill(root, header, body);
  const refresh = debounced(250, async () => {
    const next = await get(["runs", id], {}, signal).catch((error) => (error.status === 404 ? error : null));
    if (!next || signal.aborted) return;
    if (next instanceof Error) return fill(header, h("div", { class: "problem", role: "alert" }, h("h1", {}, visible(id)), h("p", {}, "This run does not exist any longer. What was loaded is still shown.")));
    data = next;
    draw();
    refreshed?.(data);
  });
  onChange((change) => {
    if (change.kind === "again" || (change.kind === "run" && change.id === id)) refresh();
  }, signal);
  return { id, data, body };
}

function runHeader({ entry, story }, tab, others) {
  const link = ([name, title]) => h("a", {
    href: address(name === "curves" ? ["run", entry.id] : ["run", entry.id, name], name === "curves" || name === "config" ? { with: withRuns(others) } : {}),
    "aria-current": name === tab && "page",
  }, title, name === "story" && (story?.alarms?.length ?? 0) > 0 && h("span", { class: "tab-count", title: "alarms" }, String(story.alarms.length)));
  return [
    h("div", { class: "title" }, h("h1", {}, visible(entry.id)), stateBadge(entry.state), alarmBadge(entry.alarms),
      h("span", { class: "quiet" }, `step ${entry.step.toLocaleString("en-US")} of ${entry.total.toLocaleString("en-US")}`),
      entry.accuracy_after !== null && entry.accuracy_after !== undefined && h("span", { class: "quiet" }, `held-out accuracy ${percent(entry.accuracy_before)} → `, h("strong", {}, percent(entry.accuracy_after)))),
    h("nav", { class: "tabs", "aria-label": "Pages of the run" }, TABS.map(link)),
  ];
}
