// All saved cases: look, open, delete, export.

import { getBlob, getJson } from "./api.js";
import { deleteCase } from "./caseform.js";
import { byId, download, make } from "./dom.js";

/** @typedef {import("./types.js").CaseOut} CaseOut */
/** @typedef {import("./types.js").Source} Source */

const PAGE = 50;

export class CaseTable {
  /**
   * @param {() => Source[]} sources The images that are at hand.
   * @param {(source: Source, frame: number|null, model: string) => void} onOpen
   */
  constructor(sources, onOpen) {
    this.dialog = byId("cases-dialog", HTMLDialogElement);
    this.body = byId("cases", HTMLElement);
    this.count = byId("cases-count", HTMLElement);
    this.more = byId("more-cases", HTMLButtonElement);
    this.sources = sources;
    this.onOpen = onOpen;
    this.shown = 0;
    byId("open-cases", HTMLButtonElement).addEventListener("click", () => this.open());
    byId("export-cases", HTMLButtonElement).addEventListener("click", () =>
      this.try(async () => download(await getBlob("/v1/cases.csv"), "cases.csv")),
    );
    this.more.addEventListener("click", () => this.load());
  }

  async open() {
    this.shown = 0;
    this.body.replaceChildren();
    this.dialog.showModal();
    await this.load();
  }

  load() {
    return this.try(async () => {
      const { cases, total } = await getJson(`/v1/cases?offset=${this.shown}&limit=${PAGE}`);
      this.shown += cases.length;
      this.body.append(...cases.map((/** @type {CaseOut} */ item) => this.row(item)));
      this.more.hidden = this.shown >= total;
      this.count.textContent = total === 1 ? "1 case" : `${total} cases`;
    });
  }

  /** @param {CaseOut} item */
  row(item) {
    const open = make("button", { type: "button", class: "small" }, "Open");
    const source = this.sources().find((other) => other.kind === "folder" && other.id === item.folder_id);
    open.disabled = !source && !item.has_image;
    open.title = open.disabled ? "The image was not kept; drop it on the page again." : "";
    open.addEventListener("click", () => this.try(async () => {
      const kept = source ?? (await keptImage(item));
      this.dialog.close();
      this.onOpen(kept, item.frame, item.model);
    }));
    const remove = make("button", { type: "button", class: "small" }, "Delete");
    const called = item.called.join(", ") || "no class";
    const verdict = item.verdict === "corrected" ? `corrected: ${item.correct.join(", ") || "no class"}` : item.verdict;
    const name = item.label || item.sha256.slice(0, 12);
    open.setAttribute("aria-label", `Open ${name}`);
    remove.setAttribute("aria-label", `Delete ${name}`);
    const row = make(
      "tr",
      {},
      make("td", {}, item.updated.replace("T", " ").replace("Z", "")),
      make("td", {}, item.frame ? `${name}, frame ${item.frame}` : name),
      make("td", {}, item.reader),
      make("td", {}, `${called} (${item.model})`),
      make("td", {}, verdict),
      make("td", { class: "comment" }, item.comment),
      make("td", {}, open, " ", remove),
    );
    remove.addEventListener("click", () => this.try(async () => {
      if (!confirm("Delete this case? It cannot be brought back.")) return;
      await deleteCase(item.id);
      row.remove();
      this.shown -= 1;
      this.count.textContent = "Deleted.";
    }));
    return row;
  }

  /** @param {() => Promise<void>} work */
  async try(work) {
    try {
      await work();
    } catch (error) {
      this.count.textContent = error instanceof Error ? error.message : "That failed.";
    }
  }
}

/** @param {CaseOut} item @returns {Promise<Source>} */
async function keptImage(item) {
  const file = await getBlob(`/v1/cases/${item.id}/image`);
  return { kind: "file", file, name: item.label || `case ${item.sha256.slice(0, 12)}` };
}
