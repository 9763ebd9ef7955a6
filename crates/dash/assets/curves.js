// Curves of a run, or of several over each other.

import { get } from "./api.js";
import { nothing, notesBox } from "./badge.js";
import { Chart } from "./chart.js";
import { comparisonTables } from "./compare.js";
import { atNextFrame, debounced, fill, h, whenTyped } from "./dom.js";
import { onChange } from "./live.js";
import { firstMetrics, metricChooser, titleOf } from "./metrics.js";
import { changeParameters } from "./router.js";
import { companions, runFrame, withRuns } from "./run.js";
import { visible } from "./text.js";

const AXES = [["step", "step"], ["updates", "policy update"], ["samples", "sample"], ["cpu_seconds", "processor second"]];

export async function curvesPage(context) {
  const { parameters, signal } = context;
  const view = new Curves(signal);
  const frame = await runFrame(context, "curves", (data) => view.runChanged(data));
  const { runs } = await get(["runs"], {}, signal);
  view.start(frame, runs.map((run) => run.id), parameters);
  return (changed) => view.read(changed);
}

class Curves {
  constructor(signal) {
    this.signal = signal;
    this.charts = new Map();
    this.seen = new IntersectionObserver((entries) => this.intersected(entries), { rootMargin: "200px" });
    signal.addEventListener("abort", () => this.seen.disconnect());
  }

  start({ id, data, body }, allRuns, parameters) {
    Object.assign(this, { id, data, allRuns });
    this.grid = h("div", { class: "charts" });
    this.controls = h("div", { class: "filters curve-controls" });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Runs that are shown" });
    this.tables = h("div", {});
    this.readState(parameters);
    this.chooser = metricChooser(data.metrics, this.metrics(), (metrics) => this.change({ m: metrics.join(",") }));
    this.buildControls();
    const chooser = h("details", { class: "chooser", open: matchMedia("(min-width: 900px)").matches }, h("summary", {}, "Metrics"), this.chooser.element);
    fill(body, notesBox(data.notes), this.chips, this.controls, h("div", { class: "chooser-and-charts" }, chooser, this.grid), this.tables);
    this.draw();
    const resized = new ResizeObserver(debounced(120, () => this.reload()));
    resized.observe(this.grid);
    this.signal.addEventListener("abort", () => resized.disconnect());
    onChange((change) => change.kind === "run" && this.state.others.includes(change.id) && this.reloadSoon(), this.signal);
  }

  readState(parameters) {
    const of = (key, otherwise) => parameters.get(key) ?? otherwise;
    this.state = { m: of("m", ""), axis: of("axis", "step"), smooth: of("smooth", "0"), from: of("from", ""), to: of("to", ""), others: companions(parameters) };
  }

  read(parameters) {
    this.readState(parameters);
    this.chooser.show(this.metrics());
    this.showControls();
    this.draw();
  }

  metrics() {
    if (this.state.m === "none") return [];
    const chosen = this.state.m.split(",").filter((name) => this.data.metrics.includes(name));
    return chosen.length > 0 ? chosen : firstMetrics(this.data.metrics);
  }

  change(changes, options) {
    if (changes.m === "") changes.m = "none";
    Object.assign(this.state, changes);
    changeParameters(changes, options);
    this.showControls();
    this.draw();
  }

  setOthers(others) {
    this.state.others = others;
    changeParameters({ with: withRuns(others) });
    this.draw();
  }

  buildControls() {
    const input = (attributes) => h("input", attributes);
    this.axis = h("select", { onchange: () => this.change({ axis: this.axis.value, from: "", to: "" }) }, AXES.map(([value, name]) => h("option", { value }, name)));
    this.smooth = input({ type: "range", min: "0", max: "0.99", step: "0.01", oninput: () => this.smoothing() });
    this.smoothed = h("output", {});
    [this.from, this.to] = ["from", "to"].map((name) => {
      const field = input({ type: "number", min: "0", step: "any", placeholder: name, "aria-label": `Range ${name}` });
      return whenTyped(field, 300, (value) => this.change({ [name]: value }));
    });
    this.all = h("button", { type: "button", onclick: () => this.change({ from: "", to: "" }) }, "Whole range");
    this.add = h("select", { onchange: () => this.add.value && this.setOthers([...this.state.others, this.add.value]) });
    fill(this.controls, h("label", {}, "x-axis", this.axis), h("label", {}, "Smoothing", h("span", { class: "slider" }, this.smooth, this.smoothed)),
      h("div", { class: "field", role: "group", "aria-label": "Range" }, "Range", h("span", { class: "range" }, this.from, this.to, this.all)), h("label", {}, "Add a run", this.add));
    this.showControls();
  }

  showControls() {
    const { axis, smooth, from, to } = this.state;
    this.axis.value = axis;
    this.smooth.value = smooth;
    this.smoothed.textContent = Number(smooth) === 0 ? "off" : Number(smooth).toFixed(2);
    for (const [field, value] of [[this.from, from], [this.to, to]]) if (field !== document.activeElement) field.value = value === "" ? "" : Number(Number(value).toPrecision(6));
    this.all.disabled = from === "" && to === "";
  }

  smoothing() {
    this.state.smooth = this.smooth.value;
    this.smoothed.textContent = Number(this.smooth.value) === 0 ? "off" : Number(this.smooth.value).toFixed(2);
    changeParameters({ smooth: this.smooth.value === "0" ? "" : this.smooth.value }, { replaces: true });
    this.reloadSoon();
  }

  reloadSoon = debounced(80, () => this.reload());

  draw() {
    const runs = [this.id, ...this.state.others];
    fill(this.chips, runs.length > 1 && runs.map((run, index) => h("span", { class: "chip" }, visible(run),
      index > 0 && h("button", { type: "button", "aria-label": `Remove ${run}`, onclick: () => this.setOthers(this.state.others.filter((other) => other !== run)) }, "×"))));
    fill(this.add, h("option", { value: "" }, "choose…"), this.allRuns.filter((run) => !runs.includes(run)).map((run) => h("option", { value: run }, visible(run))));
    const metrics = this.metrics();
    for (const [metric, chart] of this.charts) {
      if (metrics.includes(metric)) continue;
      this.seen.unobserve(chart.element);
      chart.element.remove();
      this.charts.delete(metric);
    }
    if (metrics.length === 0) fill(this.grid, nothing("No metric is chosen", "Choose some from the list of metrics."));
    else this.grid.querySelector(".nothing")?.remove();
    metrics.forEach((metric, index) => {
      const chart = this.charts.get(metric) ?? this.newChart(metric);
      if (this.grid.children[index] !== chart.element) this.grid.insertBefore(chart.element, this.grid.children[index] ?? null);
    });
    this.reload();
    this.compare(runs);
  }

  newChart(metric) {
    const chart = new Chart({
      title: titleOf(metric), about: this.data.docs?.[metric], signal: this.signal,
      request: () => ({ run: [this.id, ...this.state.others], metric, axis: this.state.axis, smooth: this.state.smooth === "0" ? "" : this.state.smooth, from: this.state.from, to: this.state.to }),
      zoom: (from = "", to = "") => this.change({ from: rounded(from), to: rounded(to) }),
      hover: (x) => this.hover(x),
    });
    this.charts.set(metric, chart);
    this.seen.observe(chart.element);
    return chart;
  }

  hover(x) {
    this.hoveredX = x;
    this.follow ??= atNextFrame(() => {
      for (const chart of this.charts.values()) if (chart.isVisible) chart.at(this.hoveredX);
    });
    this.follow();
  }

  intersected(entries) {
    for (const entry of entries) {
      const chart = [...this.charts.values()].find((other) => other.element === entry.target);
      if (!chart) continue;
      chart.isVisible = entry.isIntersecting;
      if (chart.isVisible && (chart.isOld ?? true)) this.loadChart(chart);
    }
  }

  loadChart(chart) {
    chart.isOld = false;
    chart.load();
  }

  /** Charts that cannot be seen are loaded when they can be. */
  reload() {
    for (const chart of this.charts.values()) {
      if (chart.isVisible) this.loadChart(chart);
      else chart.isOld = true;
    }
  }

  async compare(runs) {
    const key = runs.join("\n");
    if (this.compared === key) return;
    this.compared = key;
    if (runs.length < 2) return void fill(this.tables);
    try {
      const comparison = await get(["compare"], { run: runs }, this.signal);
      if (this.compared === key) fill(this.tables, comparisonTables(comparison));
    } catch (error) {
      if (error.name !== "AbortError") fill(this.tables, h("p", { class: "problem-line", role: "alert" }, error.message));
    }
  }

  runChanged(data) {
    this.data = data;
    this.compared = undefined;
    this.reload();
  }
}

function rounded(value) {
  return value === "" ? "" : String(Number(Number(value).toPrecision(6)));
}
