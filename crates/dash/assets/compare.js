// Several runs side by side: their figures, and the settings in which they differ.

import { h } from "./dom.js";
import { number, percent } from "./format.js";
import { address } from "./router.js";
import { visible } from "./text.js";

function cell(value, unit) {
  if (value === null || value === undefined) return h("td", {}, "–");
  if (typeof value !== "number") return h("td", {}, visible(String(value)));
  return h("td", {}, unit === "share" ? percent(value) : unit === "seconds" ? `${number(value)} s` : number(value));
}

function head(runs) {
  return h("thead", {}, h("tr", {}, h("td", {}), runs.map((run) => h("th", { scope: "col" }, h("a", { href: address(["run", run]) }, visible(run))))));
}

export function comparisonTables({ runs, figures, settings }) {
  const figure = ({ name, unit, values }) => h("tr", {}, h("th", { scope: "row" }, visible(name)), values.map((value) => cell(value, unit)));
  const setting = ({ key, doc, values }) => h("tr", {}, h("th", { scope: "row", title: doc }, h("code", {}, visible(key))), values.map((value) => h("td", {}, value === null ? "–" : h("code", {}, visible(value)))));
  return [
    h("section", { class: "card" }, h("h2", {}, "Figures"), h("div", { class: "scrolling" }, h("table", { class: "grid-table" }, head(runs), h("tbody", {}, figures.map(figure))))),
    h("section", { class: "card" }, h("h2", {}, "Settings that differ"),
      settings.length === 0 ? h("p", {}, "All settings are the same.") : h("div", { class: "scrolling" }, h("table", { class: "grid-table" }, head(runs), h("tbody", {}, settings.map(setting))))),
  ];
}
