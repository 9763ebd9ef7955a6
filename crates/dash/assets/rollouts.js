// The rollouts of a run: filters, order, and a list that goes to each response and its group.

import { get } from "./api.js";
import { nothing, notesBox } from "./badge.js";
import { fill, h, whenTyped } from "./dom.js";
import { verdictBadge, stopReason } from "./facts.js";
import { count, number } from "./format.js";
import { VirtualList } from "./list.js";
import { onChange } from "./live.js";
import { address, changeParameters } from "./router.js";
import { runFrame } from "./run.js";
import { visible } from "./text.js";

/** The filters by their names in the address and for the server. */
const FIELDS = ["step_min", "step_max", "verdict", "data_source", "reward_min", "reward_max", "length_min", "length_max", "stop_reason", "text", "sort", "descending"];
const ORDERS = [["step", "step"], ["reward", "reward"], ["length", "length"], ["score", "score"], ["lambda", "lambda"], ["mean_value", "mean value"], ["prompt", "prompt"]];
/** What is offered where the server does not say what occurs. */
const USUAL = { verdicts: ["right", "wrong", "malformed"], stop_reasons: ["stop_token", "stop_string", "length"], data_sources: [] };

export async function rolloutsPage(context) {
  const { parameters, signal } = context;
  const { id, data, body } = await runFrame(context, "rollouts");
  if ((data.records?.steps ?? []).length === 0) {
    fill(body, notesBox(data.records?.notes), nothing("No recorded rollouts", "This run has recorded none yet, or records are switched off. The setting records.every says how often a run records them:", h("pre", {}, "vapo train --set records.every=10 --set records.groups=all")));
    onChange((change) => change.id === id && dispatchEvent(new HashChangeEvent("hashchange")), signal);
    return undefined;
  }
  const state = read(parameters);
  const [summary, notes] = [h("p", { class: "count", role: "status" }), h("div", {})];
  const list = new VirtualList({
    label: "Responses", signal, rowHeight: () => (innerWidth < 700 ? 104 : 62),
    fetchPage: (offset, limit) => get(["runs", id, "rollouts"], { ...state, offset, limit }, signal),
    draw: (row) => responseRow(id, row), open: (row) => (location.hash = responseAddress(id, row)),
    loaded: ({ total, of, notes: found }) => {
      fill(summary, total === of ? count(of, "response") : `${total.toLocaleString("en-US")} of ${count(of, "response")}`, total === 0 && h("span", { class: "quiet" }, " – no response matches; change or clear the filters"));
      fill(notes, notesBox(found));
    },
    failed: (error) => fill(summary, h("span", { class: "problem-line" }, error.message)),
  });
  const form = filterForm({ ...USUAL, ...data.records }, state, (changes) => {
    Object.assign(state, changes);
    changeParameters(changes, { replaces: "text" in changes });
    list.reset();
  });
  fill(body, form.element, h("div", { class: "list-head" }, summary), notes, list.element);
  list.reset();
  onChange((change) => change.kind === "run" && change.id === id && list.reset({ keepsPlace: true }), signal);
  return (changed) => {
    for (const field of FIELDS) state[field] = "";
    Object.assign(state, read(changed));
    form.show(state);
    list.reset();
  };
}

function read(parameters) {
  return Object.fromEntries(FIELDS.map((field) => [field, parameters.get(field) ?? ""]).map(([field, value]) => [field, field === "descending" && value ? "true" : value]));
}

export function responseAddress(id, row, parameters) {
  return address(["run", id, "response", String(row.step), String(row.row)], parameters);
}

/** A group is named by the step and the prompt of one of its responses. */
export function groupAddress(id, row) {
  return address(["run", id, "group", String(row.step), String(row.prompt_id)]);
}

function responseRow(id, row) {
  return h("div", { class: "row" },
    h("span", { class: "row-verdict" }, verdictBadge(row.verdict)),
    h("span", { class: "row-texts" }, h("bdi", { class: "given row-prompt", dir: "ltr" }, visible(row.prompt)),
      h("a", { href: responseAddress(id, row), tabindex: "-1" }, h("bdi", { class: "given row-response", dir: "ltr" }, visible(row.response) || "(empty)"))),
    h("span", { class: "row-answer" }, h("span", { class: "quiet" }, "answer "), h("bdi", { class: "given" }, visible(row.answer ?? "–")), row.verdict !== "right" && row.extracted_answer !== null && [h("span", { class: "quiet" }, " read "), h("bdi", { class: "given" }, visible(row.extracted_answer))]),
    h("span", { class: "row-numbers" }, h("span", {}, h("span", { class: "quiet" }, "reward "), number(row.reward)), h("span", {}, `${row.response_tokens.toLocaleString("en-US")} tokens`),
      row.mean_value !== null && row.mean_value !== undefined && h("span", {}, h("span", { class: "quiet" }, "value "), number(row.mean_value, 3)), row.stop_reason !== "stop_token" && h("span", { class: "quiet" }, stopReason(row.stop_reason))),
    h("span", { class: "row-step" }, h("span", {}, `step ${row.step}`), h("a", { href: groupAddress(id, row), tabindex: "-1" }, "group")));
}

function filterForm({ steps, verdicts, stop_reasons: stops, data_sources: sources }, state, change) {
  const fields = {};
  const typed = (name, field) => (fields[name] = whenTyped(field, 200, (value) => change({ [name]: value })));
  const select = (name, options, any) => (fields[name] = h("select", { onchange: () => change({ [name]: fields[name].value }) }, any && h("option", { value: "" }, any), options.map(([value, text]) => h("option", { value }, text))));
  const bound = (name, label, attributes) => typed(name, h("input", { type: "number", step: "any", placeholder: name.endsWith("min") ? "from" : "to", "aria-label": label, ...attributes }));
  const pair = (title, low, high, attributes = {}) => h("div", { class: "field", role: "group", "aria-label": title }, title, h("span", { class: "range" }, bound(low, `${title} from`, attributes), bound(high, `${title} to`, attributes)));
  typed("text", h("input", { type: "search", placeholder: "in prompt, response or answer" }));
  fields.descending = h("input", { type: "checkbox", onchange: () => change({ descending: fields.descending.checked ? "true" : "" }) });
  const clear = h("button", { type: "button", onclick: () => {
    const empty = Object.fromEntries(FIELDS.map((field) => [field, ""]));
    show(empty);
    change(empty);
  } }, "Clear");
  const show = (now) => {
    for (const [name, field] of Object.entries(fields)) {
      if (name === "descending") field.checked = now.descending !== "";
      else if (field !== document.activeElement) field.value = now[name] || (name === "sort" ? "step" : "");
    }
  };
  const element = h("form", { class: "filters", role: "search", "aria-label": "Filters of responses", onsubmit: (event) => event.preventDefault() },
    h("label", { class: "wide" }, "Text", fields.text), h("label", {}, "Verdict", select("verdict", verdicts.map((verdict) => [verdict, visible(verdict)]), "any")),
    pair("Step", "step_min", "step_max", { list: "recorded-steps" }), pair("Reward", "reward_min", "reward_max"), pair("Length", "length_min", "length_max"),
    h("label", {}, "End", select("stop_reason", stops.map((reason) => [reason, stopReason(reason)]), "any")),
    sources.length > 1 && h("label", {}, "Source", select("data_source", sources.map((source) => [source, visible(source)]), "any")),
    h("label", {}, "Order", select("sort", ORDERS)), h("label", { class: "check" }, fields.descending, "descending"), clear,
    h("datalist", { id: "recorded-steps" }, steps.slice(-200).map((step) => h("option", { value: String(step) }))));
  show(state);
  return { element, show };
}
