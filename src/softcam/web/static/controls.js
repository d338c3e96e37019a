// The controls of the evidence: they set the settings, and show them.

import { announce, byId } from "./dom.js";

/** @typedef {import("./pane.js").Pane} Pane */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./types.js").FindingOut} FindingOut */

/** The scale's slider is logarithmic: from a thousandth to all of the strongest evidence. */
const LEAST_RANGE = 1e-3;

export class Controls {
  /**
   * @param {Settings} settings
   * @param {() => number} limit Evidence at the end of the threshold's slider.
   */
  constructor(settings, limit) {
    this.settings = settings;
    this.limit = limit;
    radios("kinds", (value) => settings.set({ kind: value === "contrast" ? "contrast" : "own", threshold: null }));
    radios("signs", (value) => settings.set({ sign: value === "for" || value === "against" ? value : "both" }));
    radios("listed", (value) => settings.set({ listed: value === "b" ? "b" : "a" }));
    slider("opacity", (value) => settings.set({ opacity: value / 100 }));
    slider("range", (value) => settings.set({ range: LEAST_RANGE ** (1 - value / 100) }));
    slider("threshold", (value) => settings.set({ threshold: (value / 100) * limit() }));
    tick("show-overlay", (overlay) => settings.set({ overlay }));
    tick("show-regions", (regions) => settings.set({ regions }));
    tick("show-findings", (findings) => settings.set({ findings }));
    tick("show-grey", (muted) => settings.set({ muted }));
    byId("threshold-auto", HTMLButtonElement).addEventListener("click", () => settings.set({ threshold: null }));
  }

  /**
   * Show what the settings are.
   * @param {FindingOut[]} findings What is annotated.
   * @param {Pane[]} panes Those with an answer.
   * @param {Pane} listed The one whose regions are listed.
   */
  show(findings, panes, listed) {
    const { settings } = this;
    check("kind", settings.kind);
    check("sign", settings.sign);
    byId("opacity", HTMLInputElement).value = String(Math.round(100 * settings.opacity));
    byId("opacity-value", HTMLElement).textContent = `${Math.round(100 * settings.opacity)} %`;
    const range = byId("range", HTMLInputElement);
    range.value = String(Math.round(100 * (1 - Math.log(settings.range) / Math.log(LEAST_RANGE))));
    range.setAttribute("aria-valuetext", `${percent(settings.range)} of the strongest evidence`);
    byId("range-value", HTMLElement).textContent = percent(settings.range);
    this.showThreshold();
    byId("findings-note", HTMLElement).textContent = findingsNote(findings);
    byId("show-overlay", HTMLInputElement).checked = settings.overlay;
    byId("show-regions", HTMLInputElement).checked = settings.regions;
    byId("show-findings", HTMLInputElement).checked = settings.findings;
    byId("show-findings", HTMLInputElement).disabled = findings.length === 0;
    byId("show-grey", HTMLInputElement).checked = settings.muted;
    byId("listed", HTMLElement).hidden = panes.length < 2;
    check("listed", listed === panes[1] ? "b" : "a");
    panes.forEach((pane, index) => {
      byId(index ? "listed-b" : "listed-a", HTMLElement).textContent = `${"AB"[index]} ${pane.told?.model.name}`;
    });
  }

  showThreshold() {
    const { threshold } = this.settings;
    const input = byId("threshold", HTMLInputElement);
    const part = threshold === null ? 0 : threshold / this.limit();
    input.value = String(Math.min(100, Math.round(100 * part)));
    byId("threshold-value", HTMLElement).textContent = threshold === null ? "auto" : `≥ ${threshold.toFixed(2)}`;
    input.setAttribute(
      "aria-valuetext",
      threshold === null ? "automatic" : `${threshold.toFixed(2)} logit units or more`,
    );
    byId("threshold-auto", HTMLButtonElement).disabled = threshold === null;
  }

  /** @param {number} step In parts of the scale. */
  stepThreshold(step) {
    const limit = this.limit();
    const now = this.settings.threshold ?? 0;
    this.settings.set({ threshold: Math.min(limit, Math.max(0, now + step * limit)) });
    announce(`Threshold ${this.settings.threshold?.toFixed(2)}`);
  }

  /** @param {number} factor */
  stepRange(factor) {
    this.settings.set({ range: Math.min(1, Math.max(LEAST_RANGE, this.settings.range * factor)) });
    announce(`Colour scale to ${percent(this.settings.range)} of the strongest evidence`);
  }
}

/** @param {number} part */
function percent(part) {
  return `${Number((100 * part).toPrecision(2))} %`;
}

/** @param {FindingOut[]} findings */
function findingsNote(findings) {
  const counts = findings.map(({ finding, outline }) => `${finding.replaceAll("_", " ")} (${outline.length})`);
  return counts.length ? `Annotated: ${counts.join(", ")}.` : "";
}

/** @param {string} name @param {string} value */
function check(name, value) {
  for (const input of document.querySelectorAll(`input[name="${name}"]`)) {
    if (input instanceof HTMLInputElement) input.checked = input.value === value;
  }
}

/** @param {string} id @param {(value: string) => void} run */
function radios(id, run) {
  byId(id, HTMLElement).addEventListener("change", (event) => {
    if (event.target instanceof HTMLInputElement) run(event.target.value);
  });
}

/** @param {string} id @param {(value: number) => void} run */
function slider(id, run) {
  const input = byId(id, HTMLInputElement);
  input.addEventListener("input", () => run(Number(input.value)));
}

/** @param {string} id @param {(value: boolean) => void} run */
function tick(id, run) {
  const input = byId(id, HTMLInputElement);
  input.addEventListener("change", () => run(input.checked));
}
