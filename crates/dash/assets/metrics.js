// The names of metrics: which ones are shown at first, and the place to choose others.

import { fill, h } from "./dom.js";
import { visible } from "./text.js";

/** The metrics to look at first, in this order; a run has those of its method. */
const FIRST = ["accuracy", "critic/rewards/mean", "response_length/mean", "actor/entropy", "critic/vf_explained_var", "actor/pg_clipfrac"];

export function firstMetrics(names) {
  const found = FIRST.filter((name) => names.includes(name));
  return found.length > 0 ? found : names.slice(0, 6);
}

export function titleOf(metric) {
  return metric === "accuracy" ? "held-out accuracy" : visible(metric);
}

/** A list of metrics to choose from, by the part before the first slash, with a search. */
export function metricChooser(names, chosen, changed) {
  const search = h("input", { type: "search", placeholder: "find a metric", "aria-label": "Find a metric", oninput: () => draw() });
  const list = h("div", { class: "metric-groups" });
  let current = new Set(chosen);
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/);
    const groups = new Map();
    for (const name of names) {
      if (!words.every((word) => titleOf(name).toLowerCase().includes(word))) continue;
      const prefix = name.includes("/") ? name.split("/")[0] : "result";
      groups.set(prefix, [...(groups.get(prefix) ?? []), name]);
    }
    const open = words.some(Boolean);
    fill(list, groups.size === 0 ? h("p", { class: "quiet" }, "No metric has this name.") : [...groups].map(([prefix, members]) => group(prefix, members, open)));
  };
  const group = (prefix, members, isOpen) => {
    const number = members.filter((name) => current.has(name)).length;
    return h("details", { open: isOpen || number > 0 }, h("summary", {}, visible(prefix), h("span", { class: "quiet" }, ` ${number > 0 ? `${number} of ` : ""}${members.length}`)), members.map(item));
  };
  const item = (name) => {
    const box = h("input", { type: "checkbox", checked: current.has(name), onchange: () => {
      if (box.checked) current.add(name);
      else current.delete(name);
      changed(names.filter((other) => current.has(other)));
    } });
    return h("label", { class: "check" }, box, name === "accuracy" ? titleOf(name) : visible(name.split("/").slice(1).join("/") || name));
  };
  draw();
  return {
    element: h("div", { class: "metric-chooser" }, search, list),
    show(next) {
      current = new Set(next);
      draw();
    },
  };
}
