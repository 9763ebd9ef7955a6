// Small curves of a response's numbers: under a line of text, over a whole answer.

import { s } from "./dom.js";

/** The least and the greatest of some lists' numbers, a little apart. */
export function spanOf(lists) {
  let [low, high] = [Infinity, -Infinity];
  for (const list of lists) {
    for (const value of list ?? []) {
      if (!Number.isFinite(value) || value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return [0, 1];
  const space = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - space, high + space];
}

/** The path through points; a number that is missing interrupts it. */
export function pathOf(points) {
  let [path, drawing] = ["", false];
  for (const [x, y] of points) {
    if (!Number.isFinite(x) || y === null || !Number.isFinite(y)) drawing = false;
    else {
      path += `${drawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      drawing = true;
    }
  }
  return path;
}

/** At most about `most` points of a list, keeping the extremes of each part. */
export function thinned(list, most) {
  const part = Math.max(1, Math.ceil((2 * list.length) / most));
  const points = [];
  for (let start = 0; start < list.length; start += part) {
    let [least, greatest] = [start, start];
    for (let index = start; index < Math.min(start + part, list.length); index++) {
      if (list[index] < list[least]) least = index;
      if (list[index] > list[greatest]) greatest = index;
    }
    points.push(Math.min(least, greatest));
    if (least !== greatest) points.push(Math.max(least, greatest));
  }
  return points.map((index) => [index, list[index]]);
}

/** A response's numbers as a small picture, with a mark at a token. */
export function miniature(list, { span, mark, label, width = 320, height = 64 }) {
  const [low, high] = span ?? spanOf([list]);
  const x = (index) => 2 + (index / Math.max(1, list.length - 1)) * (width - 4);
  const y = (value) => (value === null ? null : height - 2 - ((value - low) / (high - low)) * (height - 4));
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "miniature", preserveAspectRatio: "none", role: "img", "aria-label": label });
  const points = thinned(list, width).map(([index, value]) => [x(index), y(value)]);
  if (points.length > 0) {
    const path = pathOf(points);
    svg.append(s("path", { d: `${path}L${x(list.length - 1)} ${height}L${x(0)} ${height}Z`, class: "area" }));
    svg.append(s("path", { d: path, class: "line" }));
  }
  if (mark !== null && mark !== undefined) svg.append(s("line", { x1: x(mark), x2: x(mark), y1: 0, y2: height, class: "wrong-line" }));
  return svg;
}
