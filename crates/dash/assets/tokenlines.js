// How a line of the microscope looks: its tokens in their colors, the curve under them, and the legend of both.

import { css, inkOn, scheme } from "./colors.js";
import { pathOf } from "./curve.js";
import { h, s } from "./dom.js";
import { fixed } from "./format.js";
import { written } from "./quantity.js";

/** A line with its tokens and its curve. */
export function drawLine(scope, line) {
  const { from, to } = scope.layout.lines[line];
  const row = h("div", { class: "line-text", role: "none" });
  for (let token = from; token < to; token++) row.append(drawToken(scope, token));
  const number = h("span", { class: "line-number", "aria-hidden": "true" }, String(from + 1));
  const element = h("div", { class: "scope-line", role: "none" }, number, row, drawCurve(scope, from, to));
  element.style.top = `${line * scope.line}px`;
  const { first_wrong: wrong } = scope.response;
  if (Number.isInteger(wrong) && wrong >= from && wrong < to) element.append(wrongArrow(scope.layout.left[wrong] + scope.layout.widths[wrong] / 2));
  return element;
}

function wrongArrow(x) {
  const arrow = h("span", { class: "wrong-arrow", "aria-hidden": "true" }, "▾");
  arrow.style.left = `${x + LEFT}px`;
  return arrow;
}

/** Pixels to the left of a line's text. */
export const LEFT = 52;

function drawToken({ tokens, response, quantity, scale, shown, layout, id, count }, token) {
  const value = tokens[quantity.key][token];
  const color = scale.color(value);
  const isWrong = token === response.first_wrong;
  const state = quantity.states && `clip-${quantity.states.includes(value) ? value : "none"}`;
  const element = h("span", {
    class: ["token", isWrong && "is-wrong", state].filter(Boolean).join(" "), role: "option", id: `${id}-${token}`, "data-token": String(token),
    "aria-posinset": String(token + 1), "aria-setsize": String(count), "aria-selected": "false",
    "aria-label": `${shown[token]}, ${quantity.name} ${written(quantity, value)}${isWrong ? ", first wrong token" : ""}`,
  }, shown[token]);
  element.style.width = `${layout.widths[token]}px`;
  element.style.backgroundColor = css(color);
  element.style.color = inkOn(color);
  return element;
}

/** The most points of a line that are marked. */
const MOST_DOTS = 400;

/** The curve under a line, which comes from the line before and goes on to the line after. */
function drawCurve(scope, from, to) {
  const { tokens, curveQuantity, span: [low, high], size, layout, count, width, response: { first_wrong: wrong } } = scope;
  const list = tokens[curveQuantity.key];
  const y = (token) => (Number.isFinite(list[token]) ? size.curve - 2 - ((list[token] - low) / (high - low)) * (size.curve - 4) : null);
  const x = (token) => layout.left[token] + layout.widths[token] / 2;
  const between = (before, after) => (y(before) === null || y(after) === null ? null : (y(before) + y(after)) / 2);
  const own = Array.from({ length: to - from }, (_, index) => [x(from + index), y(from + index)]);
  const end = layout.left[to - 1] + layout.widths[to - 1];
  const points = [...(from > 0 ? [[0, between(from - 1, from)]] : []), ...own, ...(to < count ? [[end, between(to - 1, to)]] : [])];
  const svg = s("svg", { class: "line-curve", width, height: size.curve, "aria-hidden": "true" });
  const path = pathOf(points);
  if (points.every(([, height]) => height !== null)) svg.append(s("path", { class: "area", d: `${path}L${points.at(-1)[0]} ${size.curve}L${points[0][0]} ${size.curve}Z` }));
  svg.append(s("path", { class: "line", d: path }));
  if (Number.isInteger(wrong) && wrong >= from && wrong < to) svg.append(s("line", { class: "wrong-line", x1: x(wrong), x2: x(wrong), y1: 0, y2: size.curve }));
  for (const [at, height] of own.slice(0, MOST_DOTS)) {
    if (height !== null) svg.append(s("circle", { class: "dot", cx: at.toFixed(1), cy: height.toFixed(1), r: size.dot }));
  }
  return svg;
}

/** What colors, curve and marks mean. */
export function legendParts({ quantity, scale, curveQuantity, span, response }) {
  const [low, high] = span.map((end) => fixed(end));
  return [
    h("span", { class: "legend-name" }, h("strong", {}, quantity.name), `: ${quantity.about}`),
    scale.ends ? legendScale(quantity, scale) : quantity.states.map((state) => legendState(quantity, scale, state)),
    h("span", { class: "legend-curve" }, h("i", { class: "curve-sign" }), `curve: ${curveQuantity.name}, ${low} to ${high}`),
    Number.isInteger(response.first_wrong) && h("span", { class: "legend-state" }, h("i", { class: "wrong-sign" }, "▾"), "first wrong token"),
  ];
}

/** The colors of a scale as a bar with its ends. */
export function legendScale(quantity, scale) {
  const bar = h("span", { class: "legend-bar" });
  const [low, high] = scale.ends;
  const at = (share) => (quantity.key === "ratio" ? low * (high / low) ** share : low + (high - low) * share);
  const stops = Array.from({ length: 13 }, (_, index) => css(scale.color(at(index / 12))));
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  bar.style.borderColor = scheme().line;
  return h("span", { class: "legend-scale" }, h("span", {}, fixed(low)), bar, h("span", {}, fixed(high)));
}

function legendState(quantity, scale, state) {
  const tile = h("i", { class: `tile clip-${state}` });
  tile.style.backgroundColor = css(scale.color(state));
  return h("span", { class: "legend-state" }, tile, written(quantity, state));
}
