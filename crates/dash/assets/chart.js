// A chart from the server with a pointer: values of all runs at a crosshair, zoom by dragging, downloads.

import { endpoint, get } from "./api.js";
import { download, fill, h, picture } from "./dom.js";
import { number } from "./format.js";
import { visible } from "./text.js";

/**
 * `request()` gives the parameters of /api/chart; `zoom(from, to)` is called with a range that was chosen, without values to show all;
 * `hover(x)` with the place of the crosshair, so that others can follow.
 */
export class Chart {
  constructor({ title, about, request, zoom, hover, signal }) {
    Object.assign(this, { title, request, zoom, hover, signal });
    this.plot = h("div", {
      class: "plot", tabindex: "0", role: "group", "aria-roledescription": "chart", "aria-label": `${title}. Arrow keys move the crosshair, plus and minus zoom, 0 shows all`,
      onkeydown: (event) => this.key(event),
    }, h("div", { class: "plot-waiting" }));
    [this.cross, this.band, this.readout, this.downloads] = [h("div", { class: "cross", hidden: true }), h("div", { class: "zoom-band", hidden: true }), h("table", { class: "readout" }), h("span", { class: "downloads" })];
    this.element = h("figure", { class: "card chart" },
      h("figcaption", {}, h("span", { class: "chart-title" }, title), about && h("span", { class: "quiet chart-about", title: about }, about), this.downloads),
      this.plot, this.readout);
    this.pointer();
  }

  /** Asks for the picture again; the one before stays until the next is there. */
  async load() {
    const width = Math.max(240, Math.round(this.plot.clientWidth));
    const parameters = { ...this.request(), width, height: Math.round(Math.min(300, Math.max(200, width * 0.45))) };
    const asked = (this.asked = JSON.stringify(parameters));
    try {
      const frame = await get(["chart"], parameters, this.signal);
      if (this.asked !== asked) return;
      this.show(frame, parameters);
    } catch (error) {
      if (error.name !== "AbortError" && this.asked === asked) fill(this.plot, h("p", { class: "problem-line", role: "alert" }, error.message));
    }
  }

  show(frame, parameters) {
    this.frame = frame;
    const svg = picture(frame.svg, this.title);
    fill(this.plot, svg, this.cross, this.band);
    this.showDownloads(parameters);
    this.at(this.x);
  }

  showDownloads(parameters) {
    if (this.downloads.childElementCount === 0) {
      this.links = ["svg", "csv"].map((kind) => h("a", { download: `${fileName(this.title)}.${kind}`, "aria-label": `${this.title} as ${kind.toUpperCase()}` }, kind.toUpperCase()));
      const png = h("button", { type: "button", class: "link", "aria-label": `${this.title} as PNG`, onclick: () => this.png() }, "PNG");
      fill(this.downloads, png, this.links);
    }
    const wanted = { ...parameters, width: 900, height: 480 };
    for (const [index, kind] of ["chart.svg", "chart.csv"].entries()) this.links[index].href = endpoint([kind], wanted);
  }

  /** The picture as it is shown, with the page's background, in twice its size. */
  async png() {
    const svg = this.plot.querySelector("svg").cloneNode(true);
    const { width, height } = this.plot.querySelector("svg").getBoundingClientRect();
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    const image = new Image();
    image.src = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }));
    await image.decode();
    const canvas = h("canvas", { width: 2 * Math.round(width), height: 2 * Math.round(height) });
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(this.element).backgroundColor;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(image.src);
    canvas.toBlob((blob) => download(blob, `${fileName(this.title)}.png`));
  }

  /** Shows the crosshair at a value of x, or, without one, the last values. */
  at(x) {
    this.x = x;
    if (!this.frame) return;
    const isInside = x !== undefined && x >= this.frame.x[0] && x <= this.frame.x[1];
    this.cross.hidden = !isInside;
    if (isInside) {
      this.cross.style.left = `${this.toPixels(x)}px`;
      this.cross.style.top = `${this.frame.top * this.scale()}px`;
      this.cross.style.height = `${this.frame.height * this.scale()}px`;
    }
    const rows = (this.frame.lines ?? []).map((line) => {
      const point = isInside ? nearestPoint(line.points, x) : lastPoint(line.points);
      const swatch = h("i", { class: "swatch" });
      swatch.style.backgroundColor = line.color;
      return h("tr", {}, h("th", { scope: "row" }, swatch, visible(line.name)), h("td", {}, point ? number(point[1]) : "–"), h("td", { class: "quiet" }, point ? `at ${number(point[0])}` : ""));
    });
    fill(this.readout, h("tbody", {}, rows));
  }

  /** Screen pixels for a pixel of the picture. */
  scale() {
    const svg = this.plot.querySelector("svg");
    return svg.getBoundingClientRect().width / Number(svg.getAttribute("width"));
  }

  toPixels(x) {
    const { left, width, x: [low, high] } = this.frame;
    return (left + ((x - low) / (high - low)) * width) * this.scale();
  }

  toValue(clientX) {
    const { left, width, x: [low, high] } = this.frame;
    const pixels = (clientX - this.plot.getBoundingClientRect().left) / this.scale();
    return Math.min(high, Math.max(low, low + ((pixels - left) / width) * (high - low)));
  }

  pointer() {
    let start;
    this.plot.addEventListener("pointermove", (event) => {
      if (!this.frame) return;
      this.hover(this.toValue(event.clientX));
      if (start === undefined) return;
      const ends = [start, this.toValue(event.clientX)].sort((a, b) => a - b).map((x) => this.toPixels(x));
      this.band.hidden = false;
      this.band.style.left = `${ends[0]}px`;
      this.band.style.width = `${ends[1] - ends[0]}px`;
    });
    this.plot.addEventListener("pointerdown", (event) => {
      if (!this.frame || event.button !== 0) return;
      start = this.toValue(event.clientX);
      this.plot.setPointerCapture(event.pointerId);
    });
    this.plot.addEventListener("pointerup", (event) => {
      const [from, to] = [start, this.toValue(event.clientX)].sort((a, b) => a - b);
      const isDrag = start !== undefined && Math.abs(this.toPixels(to) - this.toPixels(from)) > 6;
      start = undefined;
      this.band.hidden = true;
      if (isDrag) this.zoom(from, to);
    });
    this.plot.addEventListener("pointercancel", () => {
      start = undefined;
      this.band.hidden = true;
    });
    this.plot.addEventListener("pointerleave", () => this.hover(undefined));
    this.plot.addEventListener("dblclick", () => this.zoom());
  }

  key(event) {
    if (!this.frame || event.ctrlKey || event.metaKey || event.altKey) return;
    const [low, high] = this.frame.x;
    const places = [...new Set(this.frame.lines.flatMap((line) => line.points.map(([x]) => x)))].filter((x) => x >= low && x <= high).sort((a, b) => a - b);
    const x = this.x ?? places.at(-1);
    const centered = (share) => [Math.max(0, x - share * (high - low)), x + share * (high - low)];
    const actions = {
      ArrowLeft: () => this.hover(places.findLast((place) => place < x) ?? places[0]),
      ArrowRight: () => this.hover(places.find((place) => place > x) ?? places.at(-1)),
      Home: () => this.hover(places[0]), End: () => this.hover(places.at(-1)),
      "+": () => this.zoom(...centered(0.25)), "=": () => this.zoom(...centered(0.25)), "-": () => this.zoom(...centered(1)),
      0: () => this.zoom(), Escape: () => this.hover(undefined),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}

function nearestPoint(points, x) {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle + 1;
    else high = middle;
  }
  const [before, after] = [points[low - 1], points[low]];
  return before && after && x - before[0] < after[0] - x ? before : after;
}

function lastPoint(points) {
  return points.findLast(([, y]) => y !== null);
}

function fileName(title) {
  return title.replaceAll(/[^\w.-]+/g, "-");
}
