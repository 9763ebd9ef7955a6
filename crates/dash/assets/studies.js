// Studies: methods compared over several seeds, with intervals.

import { get } from "./api.js";
import { nothing, notesBox, stateBadge } from "./badge.js";
import { debounced, fill, h, picture, s } from "./dom.js";
import { count, percent } from "./format.js";
import { onChange } from "./live.js";
import { address, changeParameters } from "./router.js";
import { visible } from "./text.js";

const AXES = { updates: "policy updates", samples: "samples", cpu_seconds: "processor seconds" };

export async function studiesPage({ root, signal }) {
  const studies = await get(["studies"], {}, signal);
  const empty = nothing("No studies here", "A study compares methods over several seeds:", h("pre", {}, "vapo ablate configs/studies/smoke.toml"), "Its directory is shown here when it lies below the directory that vapo dash was started with.");
  fill(root, h("div", { class: "title" }, h("h1", {}, "Studies"), h("span", { class: "quiet" }, count(studies.length, "study", "studies"))),
    studies.length === 0 ? empty : h("div", { class: "cards" }, studies.map(studyCard)));
}

function studyCard(study) {
  const best = study.arms.filter((arm) => arm.final).sort((a, b) => b.final.mean - a.final.mean).slice(0, 4);
  return h("article", { class: "card" }, h("h2", {}, h("a", { href: address(["study", study.id]) }, visible(study.name))), h("p", {}, visible(study.about ?? "")),
    h("table", { class: "arms" }, h("tbody", {}, best.map((arm) => h("tr", {}, h("th", { scope: "row" }, visible(arm.name)), h("td", {}, intervalBar(arm.final)), h("td", { class: "number" }, percent(arm.final.mean)))))),
    h("p", { class: "quiet" }, progressText(study)));
}

function progressText({ runs, unfinished, arms }) {
  return `${count(arms.length, "arm")}, ${count(runs, "run")}${unfinished > 0 ? `, ${unfinished} not finished` : ""}`;
}

export async function studyPage({ root, parts, parameters, signal, place }) {
  let study = await get(["studies", parts[1]], {}, signal);
  let axis = parameters.get("axis") ?? "updates";
  place(h("a", { href: "#/studies" }, "studies"));
  const draw = () => fill(root,
    h("div", { class: "title" }, h("h1", {}, visible(study.name)), h("span", { class: "quiet" }, progressText(study))), h("p", {}, visible(study.about ?? "")), notesBox(study.notes),
    axisChooser(study.axes, axis, (next) => {
      axis = next;
      changeParameters({ axis });
      draw();
      root.querySelector(".axis-choice").focus();
    }),
    h("div", { class: "columns wide-columns" }, study.charts.filter((chart) => chart.axis === axis).map(chartCard)), armsCard(study.arms));
  draw();
  const refresh = debounced(500, async () => {
    const next = await get(["studies", parts[1]], {}, signal).catch(() => null);
    if (next && !signal.aborted && !root.contains(document.activeElement)) {
      study = next;
      draw();
    }
  });
  onChange((change) => (change.kind !== "run" || study.arms.some((arm) => arm.runs.some((run) => run.id === change.id))) && refresh(), signal);
  return (changed) => {
    axis = changed.get("axis") ?? "updates";
    draw();
  };
}

function axisChooser(axes, axis, choose) {
  const select = h("select", { class: "axis-choice", onchange: () => choose(select.value) }, axes.map((name) => h("option", { value: name, selected: name === axis }, AXES[name] ?? name)));
  return h("div", { class: "filters" }, h("label", {}, "x-axis", select));
}

function chartCard({ name, frame }) {
  const swatch = (line) => {
    const color = h("i", { class: "swatch" });
    color.style.backgroundColor = line.color;
    return h("li", {}, color, visible(line.name));
  };
  return h("section", { class: "card" }, h("h2", {}, visible(name)), h("p", { class: "quiet" }, "Held-out accuracy, mean over seeds with 95 % intervals"), h("div", { class: "picture" }, picture(frame.svg, name)), h("ul", { class: "swatches" }, (frame.lines ?? []).map(swatch)));
}

/** An interval between 0 and 1 as a bar, with its mean. */
function intervalBar({ mean, low, high }) {
  const [width, height] = [160, 14];
  const x = (share) => 2 + Math.min(1, Math.max(0, share)) * (width - 4);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "interval", role: "img", "aria-label": `${percent(mean)}, 95 % interval ${percent(low)} to ${percent(high)}` });
  svg.append(s("line", { class: "grid", x1: 2, x2: width - 2, y1: height / 2, y2: height / 2 }));
  if (low !== null && high !== null) svg.append(s("line", { class: "spread", x1: x(low), x2: x(high), y1: height / 2, y2: height / 2 }));
  svg.append(s("circle", { class: "mean", cx: x(mean), cy: height / 2, r: 4 }));
  return svg;
}

function armsCard(arms) {
  const interval = (value) => (value && value.low !== null ? `${percent(value.low)} to ${percent(value.high)}` : "–");
  const row = (arm) => h("tr", {}, h("th", { scope: "row" }, visible(arm.name), arm.note && h("div", { class: "quiet doc" }, visible(arm.note)), armSettings(arm.settings)),
    h("td", { class: "number" }, percent(arm.before?.mean)), h("td", { class: "number" }, h("strong", {}, percent(arm.final?.mean))), h("td", {}, arm.final && intervalBar(arm.final)), h("td", { class: "number" }, interval(arm.final)),
    h("td", { class: "number" }, percent(arm.area?.mean)), h("td", { class: "number" }, String(arm.crashes)), h("td", {}, h("details", {}, h("summary", {}, count(arm.runs.length, "run")), h("ul", { class: "arm-runs" }, arm.runs.map(armRun)))));
  const titles = ["arm", "before", "final", "95 % interval", "", "mean over updates", "crashes", "runs"];
  return h("section", { class: "card" }, h("h2", {}, "Arms"), h("div", { class: "scrolling" }, h("table", { class: "grid-table" }, h("thead", {}, h("tr", {}, titles.map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, arms.map(row)))));
}

function armSettings(settings) {
  return settings.length > 0 && h("details", { class: "quiet" }, h("summary", {}, count(settings.length, "setting")), h("ul", { class: "arm-runs" }, settings.map(([key, value]) => h("li", {}, h("code", {}, `${visible(key)} = ${visible(value)}`)))));
}

function armRun(run) {
  const name = `seed ${run.seed}`;
  return h("li", {}, run.id ? h("a", { href: address(["run", run.id]) }, name) : name, " ", run.state && stateBadge(run.state), run.final !== null && run.final !== undefined && ` ${percent(run.final)}`);
}
