// The address of a page: `#/run/ID/rollouts?verdict=wrong`. Every choice of the reader is in it, so that a page can be sent
// to somebody, and the back button works.

/** A hash as its parts, decoded, and its parameters. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts, parameters: new URLSearchParams(query) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a page; parameters that are empty are left out. */
export function address(parts, parameters = {}) {
  const query = new URLSearchParams();
  const entries = parameters instanceof URLSearchParams ? [...parameters] : Object.entries(parameters);
  for (const [key, value] of entries) {
    if (value !== "" && value !== undefined && value !== null && value !== false) query.append(key, value === true ? "1" : value);
  }
  const path = parts.map(encodeURIComponent).join("/");
  return `#/${path}${query.size > 0 ? `?${query}` : ""}`;
}

/** Changes parameters of the present page: a new entry in the history, or, with `replaces`, the same one. */
export function changeParameters(changes, { replaces = false } = {}) {
  const { parts, parameters } = parse(location.hash);
  for (const [key, value] of Object.entries(changes)) {
    if (value === "" || value === undefined || value === null || value === false) parameters.delete(key);
    else parameters.set(key, value === true ? "1" : value);
  }
  const next = address(parts, parameters);
  if (next === location.hash) return;
  if (replaces) history.replaceState(null, "", next);
  else history.pushState(null, "", next);
}
