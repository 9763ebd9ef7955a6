// The settings of a run: what differs from its preset, and what from another run.

import { get } from "./api.js";
import { fill, h, whenTyped } from "./dom.js";
import { count } from "./format.js";
import { changeParameters } from "./router.js";
import { companions, runFrame, withRuns } from "./run.js";
import { visible } from "./text.js";

export async function configPage(context) {
  const { parameters, signal } = context;
  const { id, body, data } = await runFrame(context, "config");
  const [rows, { runs }] = await Promise.all([get(["runs", id, "config"], {}, signal), get(["runs"], {}, signal)]);
  const state = { others: [], search: "", all: false };
  const [table, summary] = [h("div", { class: "scrolling card" }), h("p", { class: "count", role: "status" })];
  let comparison;
  const read = (now) => Object.assign(state, { others: companions(now), search: now.get("search") ?? "", all: now.get("all") === "1" });
  const load = async () => {
    const asked = state.others.join("\n");
    comparison = state.others.length === 0 ? undefined : await get(["compare"], { run: [id, ...state.others] }, signal);
    if (asked === state.others.join("\n")) draw();
  };
  const controls = configControls(id, runs, state, (changes, isTyped) => {
    Object.assign(state, changes);
    changeParameters({ search: state.search, all: state.all, with: withRuns(state.others) }, { replaces: isTyped });
    return "others" in changes ? load() : draw();
  });
  const draw = () => {
    controls.show(state);
    const found = comparison ? comparedRows(rows, comparison) : rows.map((row) => ({ ...row, values: [row.value] }));
    const kept = found.filter((row) => (state.all || row.differs) && matches(row, state.search));
    fill(summary, `${count(kept.length, "setting")} of ${rows.length}`, !state.all && (comparison ? ": those that differ between the runs" : `: those that differ from preset ${visible(data.entry.preset ?? "")}`));
    fill(table, configTable(kept, [id, ...(comparison ? state.others : [])]));
  };
  fill(body, controls.element, summary, table);
  read(parameters);
  await load();
  return (changed) => {
    read(changed);
    return load();
  };
}

/** What a setting is without being set: the value of the preset, or the default where the preset does not set it. */
function usual({ preset, default: value }) {
  return preset ?? value;
}

/** The rows with the values of all runs; of other runs, the server tells only those that differ. */
function comparedRows(rows, { settings }) {
  const differing = new Map(settings.map((setting) => [setting.key, setting.values]));
  return rows.map((row) => ({ ...row, differs: differing.has(row.key), values: differing.get(row.key) ?? [row.value] }));
}

function matches({ key, doc, values }, search) {
  const text = [key, doc, ...values].join(" ").toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function configControls(id, runs, state, change) {
  const search = whenTyped(h("input", { type: "search", placeholder: "key, value or meaning" }), 120, (text) => change({ search: text }, true));
  const all = h("input", { type: "checkbox", onchange: () => change({ all: all.checked }) });
  const other = h("select", { onchange: () => change({ others: other.value ? [other.value] : [] }) }, h("option", { value: "" }, "its preset"), runs.filter((run) => run.id !== id).map((run) => h("option", { value: run.id }, visible(run.id))));
  return {
    element: h("div", { class: "filters", role: "search" }, h("label", {}, "Search", search), h("label", {}, "Compare with", other), h("label", { class: "check" }, all, "all settings")),
    show() {
      if (search !== document.activeElement) search.value = state.search;
      all.checked = state.all;
      other.value = state.others[0] ?? "";
    },
  };
}

function configTable(rows, runs) {
  if (rows.length === 0) return h("p", {}, "No setting to show: none differs, or none matches the search.");
  const titles = ["setting", ...(runs.length === 1 ? ["value", "preset"] : runs.map((run) => visible(run))), "meaning"];
  const values = (row) => (runs.length === 1 ? [row.value, usual(row)] : runs.map((_, index) => row.values[index] ?? row.values[0]));
  const line = (row) => h("tr", { class: row.differs ? "differs" : "" }, h("th", { scope: "row" }, h("code", {}, visible(row.key))),
    values(row).map((value) => h("td", {}, h("code", {}, visible(String(value ?? "–"))))), h("td", { class: "doc" }, visible(row.doc ?? "")));
  return h("table", { class: "grid-table" }, h("thead", {}, h("tr", {}, titles.map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, rows.map(line)));
}
