// All runs: a card each with its curve of held-out accuracy, to search, filter and choose from.

import { get } from "./api.js";
import { alarmBadge, nothing, stateBadge } from "./badge.js";
import { pathOf } from "./curve.js";
import { debounced, fill, h, s, whenTyped } from "./dom.js";
import { ago, count, percent, stateOf } from "./format.js";
import { onChange } from "./live.js";
import { address, changeParameters } from "./router.js";
import { visible } from "./text.js";

const ORDERS = {
  newest: { name: "newest first", by: (a, b) => b.modified - a.modified },
  name: { name: "name", by: (a, b) => a.id.localeCompare(b.id, "en", { numeric: true }) },
  accuracy: { name: "accuracy", by: (a, b) => (b.accuracy_after ?? -1) - (a.accuracy_after ?? -1) },
  steps: { name: "steps", by: (a, b) => b.step - a.step },
};
const STATES = ["running", "stopped", "finished", "failed"];

export async function runsPage({ root, parameters, signal }) {
  let data = await get(["runs"], {}, signal);
  const chosen = new Set();
  let filters = read(parameters);
  const parts = build(root, filters, (changes, options) => {
    Object.assign(filters, changes);
    changeParameters(filters, options);
    draw();
  });
  const draw = () => {
    const found = data.runs.filter((run) => matches(run, filters)).sort((ORDERS[filters.sort] ?? ORDERS.newest).by);
    const isEmpty = data.runs.length === 0;
    parts.form.hidden = isEmpty;
    fill(parts.count, isEmpty ? "" : found.length === data.runs.length ? count(found.length, "run") : `${found.length} of ${count(data.runs.length, "run")}`);
    fill(parts.place, visible(data.root ?? ""));
    drawTags(parts.tags, data.runs, filters, (tag) => parts.change({ tag: filters.tag === tag ? "" : tag }));
    const toggle = (run, isChosen) => {
      if (isChosen) chosen.add(run.id);
      else chosen.delete(run.id);
      drawComparison(parts.bar, chosen, () => {
        chosen.clear();
        draw();
      });
    };
    if (isEmpty) fill(parts.grid, noRuns());
    else if (found.length === 0) fill(parts.grid, nothing("No run matches", "Change the search or the filters."));
    else fill(parts.grid, found.map((run) => card(run, chosen.has(run.id), toggle)));
  };
  draw();
  const refresh = debounced(300, async () => {
    const next = await get(["runs"], {}, signal).catch(() => null);
    if (!next || signal.aborted) return;
    data = next;
    keepingFocus(parts.grid, draw);
  });
  onChange(refresh, signal);
  return (changed) => {
    filters = Object.assign(filters, read(changed));
    parts.show(filters);
    draw();
  };
}

function read(parameters) {
  const of = (key) => parameters.get(key) ?? "";
  return { search: of("search"), state: of("state"), tag: of("tag"), sort: of("sort") };
}

function matches(run, { search, state, tag }) {
  const text = [run.id, run.preset, run.model, run.task, ...(run.tags ?? [])].join(" ").toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word)) && (!state || stateOf(run.state) === state) && (!tag || (run.tags ?? []).includes(tag));
}

function build(root, filters, change) {
  const search = whenTyped(h("input", { type: "search", placeholder: "name, preset, model, tag" }), 120, (text) => change({ search: text }, { replaces: true }));
  const state = h("select", { onchange: () => change({ state: state.value }) }, h("option", { value: "" }, "any state"), STATES.map((name) => h("option", { value: name }, name)));
  const sort = h("select", { onchange: () => change({ sort: sort.value === "newest" ? "" : sort.value }) }, Object.entries(ORDERS).map(([key, order]) => h("option", { value: key }, order.name)));
  const show = (now) => {
    if (search !== document.activeElement) search.value = now.search;
    state.value = now.state;
    sort.value = now.sort || "newest";
  };
  show(filters);
  const parts = { count: h("span", { class: "quiet", role: "status" }), place: h("span", { class: "quiet path" }), tags: h("div", { class: "tags", role: "group", "aria-label": "Tags" }), grid: h("div", { class: "cards" }), bar: h("div", { class: "comparison", hidden: true, role: "region", "aria-label": "Comparison" }), show, change };
  parts.form = h("div", { class: "filters", role: "search" }, h("label", {}, "Search", search), h("label", {}, "State", state), h("label", {}, "Order", sort), parts.tags);
  fill(root, h("div", { class: "title" }, h("h1", {}, "Runs"), parts.count, parts.place), parts.form, parts.grid, parts.bar);
  return parts;
}

/** The tags that more than one run has and not all, the most frequent first. */
function drawTags(element, runs, { tag: current }, choose) {
  const counts = new Map();
  for (const run of runs) for (const tag of run.tags ?? []) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  const useful = [...counts].filter(([tag, number]) => tag === current || number < runs.length).sort((a, b) => b[1] - a[1]).slice(0, 12);
  const had = element.contains(document.activeElement) ? document.activeElement.dataset.tag : undefined;
  fill(element, useful.map(([tag, number]) => h("button", { type: "button", class: "tag", "aria-pressed": String(tag === current), "data-tag": tag, onclick: () => choose(tag) }, visible(tag), h("span", { class: "quiet" }, ` ${number}`))));
  if (had) [...element.children].find((button) => button.dataset.tag === had)?.focus();
}

function card(run, isChosen, toggle) {
  const box = h("input", { type: "checkbox", checked: isChosen, "aria-label": `compare ${run.id}`, onchange: () => toggle(run, box.checked) });
  const share = run.total > 0 ? Math.min(1, run.step / run.total) : 0;
  const progress = h("progress", { max: "1", value: share, "aria-label": `step ${run.step} of ${run.total}` });
  return h("article", { class: "card run-card", "data-run": run.id },
    h("header", {}, box, h("h2", {}, h("a", { href: address(["run", run.id]) }, visible(run.id))), h("span", { class: "card-state" }, stateBadge(run.state))),
    sparkline(run),
    h("p", { class: "card-figures" }, h("strong", {}, percent(run.accuracy_after)), run.accuracy_before !== null && h("span", { class: "quiet" }, ` from ${percent(run.accuracy_before)}`), alarmBadge(run.alarms)),
    progress,
    h("p", { class: "quiet card-foot" }, `step ${run.step.toLocaleString("en-US")} of ${run.total.toLocaleString("en-US")} · seed ${run.seed} · ${ago(run.modified)}`),
    h("p", { class: "card-tags" }, (run.tags ?? []).slice(0, 6).map((tag) => h("span", { class: "tag-label" }, visible(tag)))));
}

/** Held-out accuracy over the steps, from 0 to 1, so that cards can be compared. */
function sparkline(run) {
  const [width, height] = [300, 72];
  const points = (run.spark ?? []).filter(([, accuracy]) => accuracy !== null);
  const label = points.length > 0 ? `Held-out accuracy from ${percent(points[0][1])} to ${percent(points.at(-1)[1])}` : "No evaluation yet";
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", role: "img", "aria-label": label, preserveAspectRatio: "none" });
  for (const share of [0, 0.5, 1]) svg.append(s("line", { class: "grid", x1: 0, x2: width, y1: height - 2 - share * (height - 4), y2: height - 2 - share * (height - 4) }));
  const end = Math.max(run.total, points.at(-1)?.[0] ?? 1, 1);
  const at = points.map(([step, accuracy]) => [(step / end) * (width - 4) + 2, height - 2 - accuracy * (height - 4)]);
  if (at.length > 0) svg.append(s("path", { class: "area", d: `${pathOf(at)}L${at.at(-1)[0]} ${height}L${at[0][0]} ${height}Z` }), s("path", { class: "line", d: pathOf(at) }));
  return svg;
}

/** Draws cards anew and leaves the keyboard where it was. */
function keepingFocus(grid, draw) {
  const [focused, had] = [document.activeElement, document.activeElement?.closest(".run-card")?.dataset.run];
  draw();
  if (had === undefined) return;
  const next = [...grid.children].find((element) => element.dataset.run === had);
  next?.querySelector(focused.localName)?.focus({ preventScroll: true });
}

function drawComparison(bar, chosen, clear) {
  bar.hidden = chosen.size === 0;
  if (bar.hidden) return;
  const [first, ...others] = chosen;
  fill(bar, h("span", {}, count(chosen.size, "run chosen", "runs chosen")),
    chosen.size > 1 ? h("a", { class: "button", href: address(["run", first], { with: others.map(encodeURIComponent).join(",") }) }, `Compare ${chosen.size} runs`) : h("span", { class: "quiet" }, "choose another one to compare"),
    h("button", { type: "button", onclick: clear }, "Clear"));
}

function noRuns() {
  return nothing("No runs yet", "Start one, and it appears here by itself:", h("pre", {}, "vapo train"), "A run is a directory with config.toml and metrics.jsonl. Another directory is shown with:", h("pre", {}, "vapo dash DIRECTORY"));
}
