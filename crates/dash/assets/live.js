// Runs that go on: the server tells which ones changed, and pages ask again for what they show.

import { fill, h } from "./dom.js";

const listeners = new Set();
const LONGEST_WAIT = 15;

/** Calls a function with each change: `{ kind: "runs" }`, `{ kind: "run", id, step, state }`, or `{ kind: "again" }` after a loss. */
export function onChange(listener, signal) {
  listeners.add(listener);
  signal?.addEventListener("abort", () => listeners.delete(listener));
}

function tell(change) {
  for (const listener of [...listeners]) listener(change);
}

/** Listens for changes while the page can be seen; shows in an element whether it can. */
export function listen(place) {
  let [wait, timer, wasLost, source] = [1, undefined, false, undefined];
  const show = (state, text) => fill(place, h("span", { class: `signal ${state}`, "aria-hidden": "true" }), text);
  const connect = () => {
    clearInterval(timer);
    source = new EventSource("api/events");
    source.onopen = () => {
      wait = 1;
      show("on", "live");
      if (wasLost) tell({ kind: "again" });
      wasLost = false;
    };
    source.addEventListener("runs", () => tell({ kind: "runs" }));
    source.addEventListener("run", (event) => tell({ kind: "run", ...JSON.parse(event.data) }));
    source.onerror = () => {
      source.close();
      wasLost = true;
      let left = wait;
      wait = Math.min(2 * wait, LONGEST_WAIT);
      const count = () => {
        show("off", `connection lost, next try in ${left} s`);
        if (left-- <= 0) connect();
      };
      count();
      timer = setInterval(count, 1000);
    };
  };
  // Browsers have few connections for a server, so a page in the background has none.
  const follow = () => {
    clearInterval(timer);
    source?.close();
    wasLost ||= document.hidden;
    if (!document.hidden) connect();
  };
  show("off", "connecting");
  follow();
  document.addEventListener("visibilitychange", follow);
}
