// The reader's own word on a case: accept, correct or comment, and save.

import { change, getJson, imageForm } from "./api.js";
import { announce, byId, make } from "./dom.js";

/** @typedef {import("./types.js").PredictionOut} PredictionOut */
/** @typedef {import("./types.js").CaseOut} CaseOut */
/** @typedef {import("./types.js").Reading} Reading */
/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").Verdict} Verdict */

export class CaseForm {
  constructor() {
    this.form = byId("case", HTMLFormElement);
    this.comment = byId("comment", HTMLTextAreaElement);
    this.reader = byId("reader", HTMLInputElement);
    this.label = byId("case-label", HTMLInputElement);
    this.keep = byId("keep-image", HTMLInputElement);
    this.another = byId("new-reading", HTMLButtonElement);
    this.state = byId("case-state", HTMLElement);
    /** @type {PredictionOut|null} */
    this.told = null;
    /** @type {Source|null} */
    this.source = null;
    /** @type {CaseOut|null} The saved case that the form changes. */
    this.saved = null;
    this.changed = false;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.save();
    });
    this.form.addEventListener("input", () => {
      this.changed = true;
      this.showCorrect();
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.another.addEventListener("click", () => {
      this.fill(null);
      this.comment.focus();
    });
    addEventListener("beforeunload", (event) => {
      if (this.changed) event.preventDefault();
    });
  }

  /** Whether the reader agrees to lose what is not saved. */
  mayLeave() {
    return !this.changed || confirm("Your reading of this image is not saved. Leave it all the same?");
  }

  /** @returns {Verdict} */
  get verdict() {
    const chosen = new FormData(this.form).get("verdict");
    return chosen === "accepted" || chosen === "corrected" ? chosen : "undecided";
  }

  /** @param {Verdict} verdict */
  choose(verdict) {
    const input = this.form.querySelector(`input[name="verdict"][value="${verdict}"]`);
    if (!(input instanceof HTMLInputElement) || this.told === null) return;
    input.checked = true;
    this.changed = true;
    this.showCorrect();
    announce(`Verdict: ${verdict}. Not saved yet.`);
    if (verdict === "corrected") this.classes[0]?.focus();
  }

  /** @returns {HTMLInputElement[]} */
  get classes() {
    return [...byId("correct-classes", HTMLElement).querySelectorAll("input")];
  }

  /**
   * Start with another image, and what is saved about it.
   * @param {PredictionOut} told
   * @param {Source} source
   */
  async show(told, source) {
    this.told = told;
    this.source = source;
    const kind = told.model.task === "multilabel" ? "checkbox" : "radio";
    byId("correct-classes", HTMLElement).replaceChildren(
      ...told.model.classes.map((name) =>
        make("label", {}, make("input", { type: kind, name: "correct", value: name }), ` ${name}`),
      ),
    );
    this.fill(null);
    const { cases } = await getJson(`/v1/cases?sha256=${told.image.sha256}&limit=1000`);
    if (this.told !== told || this.changed) return;
    const found = cases.find(
      (/** @type {CaseOut} */ item) =>
        item.model === told.model.name &&
        item.model_digest === told.model.digest &&
        item.frame === told.image.frame,
    );
    if (found) this.fill(found);
    else if (cases.length) this.state.textContent = `${cases.length} saved about this image and another model.`;
  }

  /** @param {CaseOut|null} saved */
  fill(saved) {
    this.saved = saved;
    this.changed = false;
    const verdict = saved?.verdict ?? "undecided";
    for (const input of this.form.querySelectorAll("input[name=verdict]")) {
      if (input instanceof HTMLInputElement) input.checked = input.value === verdict;
    }
    const called = saved?.verdict === "corrected" ? saved.correct : (this.told?.predicted ?? []);
    for (const input of this.classes) input.checked = called.includes(input.value);
    this.comment.value = saved?.comment ?? "";
    this.label.value = saved?.label ?? (this.source?.kind === "folder" ? this.source.name.slice(0, 200) : "");
    if (saved?.reader) this.reader.value = saved.reader;
    this.keep.checked = saved?.has_image ?? false;
    // An image of the folder is kept by the folder.
    this.keep.disabled = (saved?.has_image ?? false) || this.source?.kind === "folder";
    this.another.hidden = saved === null;
    this.state.textContent = saved ? savedText(saved) : "";
    this.showCorrect();
  }

  showCorrect() {
    byId("correct", HTMLElement).hidden = this.verdict !== "corrected";
  }

  async save() {
    const { told, source } = this;
    if (!told || !source) return;
    const verdict = this.verdict;
    /** @type {Reading} */
    const reading = {
      verdict,
      correct: verdict === "corrected" ? this.classes.filter((item) => item.checked).map((item) => item.value) : [],
      comment: this.comment.value,
      reader: this.reader.value,
      label: this.label.value,
    };
    const kept = this.keep.checked && !this.saved?.has_image && source.kind === "file" ? source.file : null;
    this.state.textContent = "Saving…";
    try {
      let saved = this.saved
        ? await getJson(`/v1/cases/${this.saved.id}`, { method: "PUT", json: { ...reading, revision: this.saved.revision } })
        : await getJson("/v1/cases", { method: "POST", json: { ...reading, ...about(told, source) } });
      // Should the image fail, saving again changes this case and makes no second one.
      if (this.told === told) this.saved = saved;
      if (kept) {
        saved = await getJson(`/v1/cases/${saved.id}/image`, { method: "PUT", form: imageForm(kept) });
      }
      if (this.told === told) this.fill(saved);
    } catch (error) {
      this.state.textContent = `Not saved. ${error instanceof Error ? error.message : ""}`;
    }
  }
}

/** @param {PredictionOut} told @param {Source} source */
function about(told, source) {
  return {
    sha256: told.image.sha256,
    frame: told.image.frame,
    width: told.image.width,
    height: told.image.height,
    folder_id: source.kind === "folder" ? source.id : "",
    model: told.model.name,
    model_digest: told.model.digest,
    model_version: told.model.version,
    called: told.predicted,
    probabilities: Object.fromEntries(told.classes.map((item) => [item.name, item.probability])),
  };
}

/** @param {CaseOut} saved */
export function savedText(saved) {
  const who = saved.reader ? ` by ${saved.reader}` : "";
  const image = saved.has_image ? ", with the image" : "";
  return `Saved ${saved.updated.replace("T", " ").replace("Z", "")} UTC${who}${image}. Saving again changes it.`;
}

/** @param {string} id */
export function deleteCase(id) {
  return change(`/v1/cases/${id}`, { method: "DELETE" });
}
