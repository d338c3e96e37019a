// Calls of the server. The token lives in this module's memory, and goes into a header only.

/** @typedef {import("./types.js").PredictionOut} PredictionOut */
/** @typedef {import("./types.js").Source} Source */

/** A request that the server turned away, in its own words. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} reason
   * @param {number|null} frames How many frames the file has, if that was the problem.
   */
  constructor(status, code, reason, frames = null) {
    super(reason);
    this.status = status;
    this.code = code;
    this.frames = frames;
  }
}

let token = "";

/** @type {(wrong: boolean) => Promise<string>} */
let askForToken = async () => "";

/** @param {(wrong: boolean) => Promise<string>} ask Called when the server wants a token. */
export function onTokenNeeded(ask) {
  askForToken = ask;
}

/**
 * Send a request.
 * @param {string} path
 * @param {{method?: string, json?: unknown, form?: FormData, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 */
async function send(path, options = {}) {
  for (;;) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (token) headers["Authorization"] = `Bearer ${token}`;
    if (options.json !== undefined) headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, {
        method: options.method ?? "GET",
        headers,
        body: options.json !== undefined ? JSON.stringify(options.json) : (options.form ?? null),
        signal: options.signal ?? null,
        credentials: "omit",
        cache: "no-store",
        redirect: "error",
      });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Refused(0, "unreachable", "The server does not answer; is it still running?");
    }
    if (answer.ok) return answer;
    if (answer.status === 401) {
      token = await askForToken(token !== "");
      continue;
    }
    throw await refusal(answer);
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  try {
    const told = await answer.json();
    return new Refused(answer.status, told.code, told.reason, told.frames ?? null);
  } catch {
    return new Refused(answer.status, "failed", `The server answered with status ${answer.status}.`);
  }
}

/**
 * @param {string} path
 * @param {Parameters<typeof send>[1]} [options]
 */
export async function getJson(path, options) {
  return (await send(path, options)).json();
}

/**
 * @param {string} path
 * @param {Parameters<typeof send>[1]} [options]
 */
export async function getBlob(path, options) {
  return (await send(path, options)).blob();
}

/**
 * @param {string} path
 * @param {Parameters<typeof send>[1]} [options]
 */
export async function change(path, options) {
  await send(path, options);
}

/**
 * Ask a model about an image.
 * @param {Source} source
 * @param {Record<string, string>} parameters
 * @param {AbortSignal} [signal]
 */
function predict(source, parameters, signal) {
  const query = new URLSearchParams(parameters);
  if (source.kind === "folder") {
    const path = `/v1/folder/${encodeURIComponent(source.id)}/predict?${query}`;
    return send(path, { method: "POST", ...(signal && { signal }) });
  }
  return send(`/v1/predict?${query}`, {
    method: "POST",
    form: imageForm(source.file),
    ...(signal && { signal }),
  });
}

/**
 * Put an image into a form. Its name may name a patient and stays here.
 * @param {Blob} file
 */
export function imageForm(file) {
  const form = new FormData();
  form.append("file", file, "image");
  return form;
}

/**
 * Ask for probabilities and raw maps.
 * @param {Source} source
 * @param {{model: string, frame: number|null, image: boolean, signal: AbortSignal}} asked
 * @returns {Promise<PredictionOut>}
 */
export async function predictMaps(source, asked) {
  const parameters = {
    format: "json",
    model: asked.model,
    maps: "true",
    regions: "none",
    image: asked.image ? "full" : "none",
    ...(asked.frame && { frame: String(asked.frame) }),
  };
  return (await predict(source, parameters, asked.signal)).json();
}

/**
 * Ask for a file: "npz" (raw maps) or "png" (a picture of one class).
 * @param {Source} source
 * @param {Record<string, string>} parameters
 */
export async function predictFile(source, parameters) {
  return (await predict(source, parameters)).blob();
}
