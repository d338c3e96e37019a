// A report of what is open, as one file that needs nothing else.

import { predictFile } from "./api.js";
import { make, probability, signed } from "./dom.js";

/** @typedef {import("./pane.js").Pane} Pane */
/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").PredictionOut} PredictionOut */
/** @typedef {import("./types.js").CaseOut} CaseOut */

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;
color:#16202a;background:#fff}img{max-width:100%;display:block;margin:1em 0}table{border-collapse:collapse;
margin:.5em 0}th,td{text-align:left;padding:3px 14px 3px 0;border-bottom:1px solid #ccd3da}
.note{border-left:4px solid #9a4b00;padding-left:.7em}pre{white-space:pre-wrap;font:inherit}
dt{color:#4b5864}dd{margin:0 0 .3em;overflow-wrap:anywhere}@media print{body{margin:0}}`;

/**
 * Make a report.
 * @param {Pane[]} panes Those with an answer.
 * @param {Source} source
 * @param {CaseOut|null} saved What the reader said, if it is saved.
 * @returns {Promise<Blob>}
 */
export async function makeReport(panes, source, saved) {
  const body = make("body");
  body.append(
    make("h1", {}, "What the model says, and where it sees it"),
    make(
      "p",
      { class: "note" },
      "Research use only. Evidence shows what moved this model’s answer. It is not a diagnosis and not a segmentation.",
    ),
  );
  if (saved) body.append(...readingOf(saved));
  for (const pane of panes) {
    if (pane.told) body.append(...(await sectionOf(pane, pane.told, source)));
  }
  const now = new Date().toISOString().slice(0, 19).replace("T", " ");
  body.append(make("p", {}, `Made ${now} UTC by the softcam reading page.`));
  const text =
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>softcam report</title>` +
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">` +
    `<style>${STYLE}</style></head>${body.outerHTML}</html>`;
  return new Blob([text], { type: "text/html" });
}

/** @param {CaseOut} saved */
function readingOf(saved) {
  const verdict =
    saved.verdict === "corrected" ? `corrected to ${saved.correct.join(", ") || "no class"}` : saved.verdict;
  return [
    make("h2", {}, "The reader"),
    make(
      "dl",
      {},
      ...pair("Case", saved.label),
      ...pair("Reader", saved.reader),
      ...pair("Verdict", verdict),
      make("dt", {}, "Comment"),
      make("dd", {}, make("pre", {}, saved.comment || "–")),
      ...pair("Saved", `${saved.updated} (case ${saved.id}, revision ${saved.revision})`),
    ),
  ];
}

/** @param {Pane} pane @param {PredictionOut} told @param {Source} source */
async function sectionOf(pane, told, source) {
  const { kind, threshold, className } = pane.settings;
  const contrast = kind === "contrast";
  const known = told.classes.map((item) => item.name);
  const wanted = [...new Set([className, ...told.predicted])].filter((name) => known.includes(name));
  const pictures = [];
  for (const name of wanted.slice(0, 4)) {
    const png = await predictFile(source, {
      format: "png",
      model: told.model.name,
      class: name,
      contrast: String(contrast),
      ...(told.image.frame && { frame: String(told.image.frame) }),
      ...(threshold !== null && { threshold: String(threshold) }),
    });
    pictures.push(
      make("h3", {}, `${contrast ? "Contrast" : "Evidence"} for ${name}`),
      make("img", { src: await dataUrl(png), alt: `${kind} evidence map for ${name} on the image` }),
    );
  }
  const { image, model } = told;
  return [
    make("h2", {}, `${model.name}: ${told.predicted.join(", ") || "no class"}`),
    classTable(told),
    ...pictures,
    make(
      "dl",
      {},
      ...pair("Image", `${image.width} × ${image.height} px${image.frame ? `, frame ${image.frame}` : ""}`),
      ...pair("SHA-256 of the file", image.sha256),
      ...pair("Model", `${model.architecture ?? "architecture not stored"}, softcam ${model.version || "unknown"}`),
      ...pair("SHA-256 of the model", model.digest || "–"),
      ...pair("Largest difference between a logit and the mean of its map", told.completeness_error.toExponential(1)),
    ),
  ];
}

/** @param {PredictionOut} told */
function classTable(told) {
  const heads = ["class", "probability", "called from", "called", "logit", "contrast"];
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)))),
    make(
      "tbody",
      {},
      ...told.classes.map((item) =>
        make(
          "tr",
          {},
          ...[
            item.name,
            probability(item.probability),
            item.threshold === null ? "–" : `≥ ${item.threshold.toPrecision(3)}`,
            item.called ? "yes" : "",
            signed(item.own.logit, 3),
            signed(item.contrast.logit, 3),
          ].map((text) => make("td", {}, text)),
        ),
      ),
    ),
  );
}

/** @param {string} name @param {string} text */
function pair(name, text) {
  return [make("dt", {}, name), make("dd", {}, text || "–")];
}

/** @param {Blob} blob @returns {Promise<string>} */
function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
