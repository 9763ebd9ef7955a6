// What the critic sees: explained variance, calibration, values over a group, and before and after the first error.

import { get } from "./api.js";
import { nothing, notesBox } from "./badge.js";
import { fill, h, picture } from "./dom.js";
import { count, fixed } from "./format.js";
import { changeParameters } from "./router.js";
import { runFrame } from "./run.js";
import { visible } from "./text.js";

export async function criticPage(context) {
  const { signal } = context;
  let parameters = context.parameters;
  const content = h("div", {});
  const draw = async (now = parameters) => {
    parameters = now;
    fill(content, await criticParts(id, parameters, signal, draw));
  };
  const { id, body } = await runFrame(context, "critic", () => draw().catch(() => {}));
  fill(body, content);
  await draw();
  return draw;
}

async function criticParts(id, parameters, signal, draw) {
  const [step, prompt] = [parameters.get("step"), parameters.get("prompt")];
  const view = await get(["runs", id, "critic"], { step, prompt }, signal);
  const choose = (value) => {
    changeParameters({ step: value, prompt: "" });
    return draw(new URLSearchParams({ step: value }));
  };
  if (!view.explained_variance && !view.calibration && !view.heat_map) return [notesBox(view.notes), nothing("No critic to show", "This run's method has no critic, or no step of it is done yet.")];
  return [
    notesBox(view.notes),
    h("div", { class: "columns wide-columns" },
      curveCard("Explained variance by position", "1 is a perfect critic, 0 a constant one; below 0 it is worse than a constant. By thirds of the answers.", view.explained_variance),
      curveCard("Value before and after the first error", "Means over wrong answers. A critic that sees errors has lower values after them.", view.around_error),
      tenthsCard(view.by_tenth)),
    view.steps.length > 0 && stepChooser(view, choose),
    h("div", { class: "columns wide-columns" }, calibrationCard(view), heatMapCard(view), curveCard(`Value by position, step ${view.step ?? ""}`, "Means by tenth of the answer: a critic that sees what happens tells right answers from others before their end.", view.by_position)),
  ];
}

function curveCard(title, about, frame) {
  if (!frame) return h("section", { class: "card" }, h("h2", {}, title), h("p", { class: "quiet" }, "Not measured in this run."));
  const last = ({ points }) => points.findLast(([, y]) => y !== null);
  const row = (line) => {
    const swatch = h("i", { class: "swatch" });
    swatch.style.backgroundColor = line.color;
    return h("tr", {}, h("th", { scope: "row" }, swatch, visible(line.name)), h("td", {}, last(line) ? fixed(last(line)[1]) : "–"), h("td", { class: "quiet" }, last(line) ? `at step ${last(line)[0]}` : ""));
  };
  return h("section", { class: "card" }, h("h2", {}, title), h("p", { class: "quiet" }, about), h("div", { class: "picture" }, picture(frame.svg, title)),
    h("details", {}, h("summary", {}, "Last values"), h("table", { class: "readout" }, h("tbody", {}, (frame.lines ?? []).map(row)))));
}

function tenthsCard(tenths) {
  if (!tenths) return null;
  return h("section", { class: "card" }, h("h2", {}, "Explained variance by tenth of the answer"), h("p", { class: "quiet" }, "Mean over the last ten steps."), h("div", { class: "picture" }, picture(tenths.svg, "Explained variance by tenth of the answer")),
    h("details", {}, h("summary", {}, "Numbers"), h("ol", { class: "tenths" }, tenths.means.map((mean) => h("li", {}, fixed(mean))))));
}

function stepChooser(view, choose) {
  const at = view.steps.indexOf(view.step);
  const select = h("select", { onchange: () => choose(select.value) }, view.steps.map((step) => h("option", { value: String(step), selected: step === view.step }, `step ${step}`)));
  const to = (index, text) => h("button", { type: "button", disabled: index < 0 || index >= view.steps.length, onclick: () => choose(String(view.steps[index])) }, text);
  return h("div", { class: "filters" }, h("label", {}, "Recorded step", select), to(at - 1, "‹ earlier"), to(at + 1, "later ›"));
}

function calibrationCard({ calibration, step }) {
  if (!calibration) return h("section", { class: "card" }, h("h2", {}, "Calibration"), h("p", { class: "quiet" }, "No values are recorded for this step."));
  const row = ({ predicted, observed, count: tokens }) => h("tr", {}, h("td", {}, fixed(predicted)), h("td", {}, fixed(observed)), h("td", {}, tokens.toLocaleString("en-US")));
  return h("section", { class: "card" }, h("h2", {}, `Calibration, step ${step}`), h("p", { class: "quiet" }, "Tokens by their value: what the critic says, and the return that followed. On the diagonal the critic is right on average."),
    h("div", { class: "picture" }, picture(calibration.svg, "Calibration")),
    h("details", {}, h("summary", {}, "Numbers"), h("div", { class: "scrolling" }, h("table", { class: "grid-table" }, h("thead", {}, h("tr", {}, ["value", "mean return", "tokens"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, calibration.bins.map(row))))));
}

function heatMapCard({ heat_map: map, step }) {
  if (!map) return h("section", { class: "card" }, h("h2", {}, "Values over a group"), h("p", { class: "quiet" }, "No values are recorded for this step."));
  return h("section", { class: "card" }, h("h2", {}, `Values over a group, step ${step}`), h("p", { class: "quiet" }, `A row per response${map.rows ? ` (${count(map.rows, "response")})` : ""}, right ones first; from the first token to the last.`), h("div", { class: "picture" }, picture(map.svg, "Values of a group's responses by position")));
}
