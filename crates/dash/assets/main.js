// Which page is shown, and what all pages have in common.

import { configPage } from "./config.js";
import { criticPage } from "./critic.js";
import { curvesPage } from "./curves.js";
import { fill, h } from "./dom.js";
import { groupPage } from "./group.js";
import { listen } from "./live.js";
import { responsePage } from "./response.js";
import { rolloutsPage } from "./rollouts.js";
import { parse } from "./router.js";
import { runsPage } from "./runs.js";
import { storyPage } from "./story.js";
import { studiesPage, studyPage } from "./studies.js";

const RUN_PAGES = {
  curves: curvesPage, story: storyPage, rollouts: rolloutsPage, group: groupPage, response: responsePage, critic: criticPage, config: configPage,
};

/** The page at an address. A page draws into an element, and may return a function that takes changed parameters. */
function pageAt([kind, id, name = "curves"]) {
  if (kind === undefined) return runsPage;
  if (kind === "run" && id) return RUN_PAGES[name];
  if (kind === "studies") return studiesPage;
  if (kind === "study" && id) return studyPage;
  return undefined;
}

const main = document.getElementById("page");
let shown = { key: undefined, update: undefined, abort: undefined };

async function show() {
  const route = parse(location.hash);
  const key = route.parts.join("\n");
  if (key === shown.key && shown.update) return shown.update(route.parameters);
  const isFirst = shown.abort === undefined;
  shown.abort?.abort();
  const abort = new AbortController();
  shown = { key, update: undefined, abort };
  markNavigation(route.parts[0]);
  const page = pageAt(route.parts);
  const root = h("div", { class: "view" });
  try {
    if (!page) throw new Error("There is no such page.");
    const waiting = setTimeout(() => fill(main, h("p", { class: "loading", role: "status" }, "Loading…")), 150);
    const update = await page({ root, parts: route.parts, parameters: route.parameters, signal: abort.signal, place }).finally(() => clearTimeout(waiting));
    if (abort.signal.aborted) return;
    shown.update = update;
    fill(main, root);
  } catch (error) {
    if (abort.signal.aborted) return;
    shown.key = undefined;
    fill(main, problem(error, show));
  }
  document.title = `${main.querySelector("h1")?.textContent ?? "Problem"} · vapo`;
  if (!isFirst) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

/** An error in plain words, with a way on. */
function problem(error, again) {
  return h("div", { class: "problem", role: "alert" },
    h("h1", {}, error.status === 404 ? "Not found" : "This page cannot be shown"),
    h("p", {}, error.message),
    h("p", {}, h("button", { type: "button", onclick: again }, "Try again"), " ", h("a", { href: "#/" }, "All runs")));
}

function place(...parts) {
  fill(document.getElementById("place"), ...parts);
}

function markNavigation(kind) {
  place();
  const current = kind === "studies" || kind === "study" ? "studies" : "runs";
  for (const link of document.querySelectorAll("nav [data-page]")) {
    if (link.dataset.page === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", show);
listen(document.getElementById("connection"));
show();
