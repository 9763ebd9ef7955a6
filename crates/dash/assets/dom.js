// Making and replacing elements. Texts only ever become text nodes, so nothing in a run can become markup.

/** An element: `class` and other attributes as they are, `onevent` functions as listeners, children as text or nodes. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked" || key === "selected") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null && child !== false) element.append(child);
  }
}

/** Replaces everything in an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a picture. */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A picture from the server as an element, without anything that is not drawn. */
export function picture(text, label) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (parsed.namespaceURI !== SVG || parsed.localName !== "svg") throw new Error("a picture is not SVG");
  const svg = document.importNode(parsed, true);
  for (const element of svg.querySelectorAll("script, foreignObject, a, image, use")) element.remove();
  svg.setAttribute("role", "img");
  if (label) svg.setAttribute("aria-label", label);
  return svg;
}

/** An id that no other element has. */
export function freshId(prefix) {
  freshId.count = (freshId.count ?? 0) + 1;
  return `${prefix}-${freshId.count}`;
}

/** Calls a function after it has not been asked for a while; `now` calls it at once if it has been asked. */
export function debounced(wait, action) {
  let [timer, asked] = [undefined, undefined];
  const later = (...values) => {
    clearTimeout(timer);
    asked = values;
    timer = setTimeout(later.now, wait);
  };
  later.now = () => {
    if (asked === undefined) return;
    clearTimeout(timer);
    const values = asked;
    asked = undefined;
    action(...values);
  };
  return later;
}

/** Calls a function while somebody types in a field, after a pause, and at the latest when the field is left. */
export function whenTyped(field, wait, action) {
  const later = debounced(wait, () => action(field.value));
  field.addEventListener("input", () => later());
  field.addEventListener("blur", () => later.now());
  return field;
}

/** Calls a function at the next frame, however often it is asked for. */
export function atNextFrame(action) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      action();
    });
  };
}

/** Saves a blob as a file. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
