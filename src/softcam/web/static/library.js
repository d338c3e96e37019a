// The images that can be opened: files that were dropped or picked, and those of the folder.

import { getJson, Refused } from "./api.js";
import { byId, make } from "./dom.js";

/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").ImageEntry} ImageEntry */

const MOST_SHOWN = 500;
const PAGE = 1000;

export class Library {
  /** @param {(source: Source) => void} onOpen */
  constructor(onOpen) {
    this.onOpen = onOpen;
    this.list = byId("images", HTMLElement);
    this.filter = byId("filter", HTMLInputElement);
    this.more = byId("images-more", HTMLElement);
    /** @type {Source[]} */
    this.sources = [];
    /** @type {Source|null} */
    this.current = null;
    this.filter.addEventListener("input", () => this.show());
    const input = byId("files", HTMLInputElement);
    input.addEventListener("change", () => {
      this.add([...(input.files ?? [])]);
      input.value = "";
    });
    this.listen();
  }

  listen() {
    const { body } = document;
    addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      body.classList.add("dropping");
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) body.classList.remove("dropping");
    });
    addEventListener("drop", (event) => {
      body.classList.remove("dropping");
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      this.add([...event.dataTransfer.files]);
    });
  }

  /** Put files in front and open the first. @param {File[]} files */
  add(files) {
    if (!files.length) return;
    const added = files.map((file) => /** @type {Source} */ ({ kind: "file", file, name: file.name }));
    this.sources = [...added, ...this.sources];
    this.filter.value = "";
    this.show();
    if (added[0]) this.onOpen(added[0]);
  }

  /** List the folder, if the server has one. */
  async loadFolder() {
    /** @type {ImageEntry[]} */
    const entries = [];
    try {
      for (let total = 1; entries.length < total; ) {
        const told = await getJson(`/v1/folder?offset=${entries.length}&limit=${PAGE}`);
        if (!told.images.length) break;
        entries.push(...told.images);
        total = told.total;
      }
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== "no_folder") throw error;
    }
    const found = entries.map(
      ({ id, name }) => /** @type {Source} */ ({ kind: "folder", id, name }),
    );
    this.sources = [...this.sources, ...found];
    this.show();
  }

  /** The images that the filter lets through. */
  get matching() {
    const wanted = this.filter.value.trim().toLowerCase();
    return this.sources.filter((source) => source.name.toLowerCase().includes(wanted));
  }

  show() {
    const matching = this.matching;
    this.filter.hidden = this.sources.length < 8 && !this.filter.value;
    this.list.replaceChildren(
      ...matching.slice(0, MOST_SHOWN).map((source) => {
        const button = make("button", { type: "button", title: source.name }, make("span", {}, source.name));
        if (source === this.current) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => this.onOpen(source));
        return make("li", {}, button);
      }),
    );
    this.more.hidden = matching.length <= MOST_SHOWN;
    this.more.textContent = `${matching.length - MOST_SHOWN} more; filter to see them.`;
  }

  /** Mark what is open. @param {Source} source */
  mark(source) {
    this.current = source;
    if (!this.sources.includes(source)) this.sources.unshift(source);
    this.show();
    this.list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  /** Open the next image or the one before. @param {1|-1} step */
  step(step) {
    const matching = this.matching;
    const at = this.current ? matching.indexOf(this.current) : -1;
    const found = matching[at < 0 ? 0 : at + step];
    if (found) this.onOpen(found);
  }
}
