// The strip above the microscope's lines: the whole answer at a glance, to move in it.

import { css } from "./colors.js";
import { pathOf, spanOf, thinned } from "./curve.js";
import { h, s } from "./dom.js";

/** Height of the curve; the colors are under it. */
const HEIGHT = 42;

/** A strip that calls `goTo(share)` when it is clicked or dragged. */
export function overviewStrip(goTo) {
  const canvas = h("canvas", { class: "strip-colors" });
  const curve = s("svg", { class: "strip-curve", preserveAspectRatio: "none", viewBox: `0 0 1000 ${HEIGHT}` });
  const frame = h("div", { class: "strip-frame" });
  const mark = h("div", { class: "strip-mark", hidden: true });
  const element = h("div", { class: "strip", "aria-hidden": "true" }, canvas, curve, mark, frame);
  const move = (event) => {
    const box = element.getBoundingClientRect();
    goTo((event.clientX - box.left) / box.width);
  };
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    event.preventDefault();
    move(event);
  });
  element.addEventListener("pointermove", (event) => element.hasPointerCapture(event.pointerId) && move(event));
  return {
    element,
    /** Shows numbers as colors, a curve over them, and a mark. */
    draw({ list, scale, curveOf, wrong }) {
      paint(canvas, list, scale);
      curve.replaceChildren(s("path", { d: wholeCurve(curveOf), class: "line" }));
      mark.hidden = wrong === null || wrong === undefined;
      if (!mark.hidden) mark.style.left = `${(100 * (wrong + 0.5)) / list.length}%`;
    },
    /** Shows which part is visible, as shares of the answer. */
    frame(from, to) {
      frame.style.left = `${100 * from}%`;
      frame.style.width = `${Math.max(0.4, 100 * (to - from))}%`;
      frame.hidden = from <= 0 && to >= 1;
    },
  };
}

/** A column of pixels has the color of its most striking token. */
function paint(canvas, list, scale) {
  const width = Math.min(Math.max(canvas.clientWidth, 300) * 2, 2400);
  canvas.width = width;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  for (let x = 0; x < width; x++) {
    const from = Math.floor((x / width) * list.length);
    const to = Math.max(from + 1, Math.floor(((x + 1) / width) * list.length));
    let best = from;
    for (let token = from; token < to; token++) if (scale.share(list[token]) > scale.share(list[best])) best = token;
    context.fillStyle = css(scale.color(list[best]));
    context.fillRect(x, 0, 1, 1);
  }
}

function wholeCurve(list) {
  if (!list) return "";
  const [low, high] = spanOf([list]);
  const last = Math.max(1, list.length - 1);
  const y = (value) => (Number.isFinite(value) ? HEIGHT - 3 - ((value - low) / (high - low)) * (HEIGHT - 6) : null);
  return pathOf(thinned(list, 1000).map(([index, value]) => [(1000 * index) / last, y(value)]));
}
