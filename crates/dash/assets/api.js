// What the server is asked for.

/** An answer of the server that is not the data that was asked for. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The address of an endpoint: its parts are encoded, parameters that are empty are left out, lists are repeated. */
export function endpoint(parts, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    for (const item of [value].flat()) {
      if (item !== undefined && item !== null && item !== "") query.append(key, item);
    }
  }
  const path = parts.map(encodeURIComponent).join("/");
  return `api/${path}${query.size > 0 ? `?${query}` : ""}`;
}

/** The data of an endpoint. */
export async function get(parts, parameters, signal) {
  let response;
  try {
    response = await fetch(endpoint(parts, parameters), { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is vapo dash still running?", 0);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(body?.error ?? `The server answered with status ${response.status}.`, response.status);
  if (body === null) throw new ApiError("The server's answer cannot be read.", response.status);
  return body;
}
