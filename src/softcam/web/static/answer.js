// The table of classes (probability, threshold, call) and the list of regions.

import { byId, make, probability, signed } from "./dom.js";

/** @typedef {import("./pane.js").Pane} Pane */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./types.js").ClassOut} ClassOut */

const MOST_REGIONS = 40;

/**
 * Show what the models say.
 * @param {Pane[]} panes Those with an answer; the first decides which classes there are.
 * @param {Settings} settings
 */
export function showAnswer(panes, settings) {
  const first = panes[0]?.told;
  byId("called", HTMLElement).textContent = first
    ? panes.map((pane) => pane.told?.predicted.join(", ") || "no class").join("  |  ")
    : "–";
  const head = [make("th", { scope: "col" }, "Class")];
  if (panes.length === 1) {
    head.push(make("th", { scope: "col", class: "number" }, "Prob."));
    head.push(make("th", { scope: "col", class: "number" }, "call ≥"));
    head.push(make("th", { scope: "col" }, make("span", { class: "quiet" }, "as a bar")));
  } else {
    for (const letter of "AB") head.push(make("th", { scope: "col", class: "number" }, `Prob. ${letter}`));
  }
  byId("answer-columns", HTMLElement).replaceChildren(...head);
  byId("classes", HTMLElement).replaceChildren(
    ...(first?.classes ?? []).map((item, index) => row(item, index, panes, settings)),
  );
  byId("answer-note", HTMLElement).textContent = first ? note(panes) : "";
}

/** @param {ClassOut} item @param {number} index @param {Pane[]} panes @param {Settings} settings */
function row(item, index, panes, settings) {
  const chosen = item.name === settings.className;
  const radio = make("input", { type: "radio", name: "class", value: item.name, checked: chosen, id: `class-${index}` });
  radio.addEventListener("change", () => settings.set({ className: item.name }));
  const cells = [make("td", {}, make("label", {}, radio, item.name))];
  if (panes.length === 1) {
    cells.push(make("td", { class: "number" }, probability(item.probability)));
    cells.push(make("td", { class: "number" }, item.threshold === null ? "–" : round(item.threshold)));
    cells.push(make("td", {}, meter(item)));
  } else {
    cells.push(...panes.map((pane) => compared(pane, item.name)));
  }
  const classes = [chosen ? "chosen" : "", item.called ? "called-row" : ""].join(" ");
  return make("tr", { class: classes }, ...cells);
}

/** A model's probability, call and threshold in one cell. @param {Pane} pane @param {string} name */
function compared(pane, name) {
  const told = pane.told?.classes.find((other) => other.name === name);
  if (!told) return make("td", { class: "number" }, "–");
  const parts = [told.called ? "called" : "", told.threshold === null ? "" : `≥ ${round(told.threshold)}`];
  const small = make("span", { class: "small-line" }, parts.filter(Boolean).join(", "));
  const value = make(told.called ? "b" : "span", {}, probability(told.probability));
  return make("td", { class: "number" }, value, small);
}

/** @param {ClassOut} told */
function meter(told) {
  const fill = make("i", { class: told.called ? "on" : "" });
  fill.style.width = `${100 * told.probability}%`;
  const bar = make("div", { class: "meter", "aria-hidden": "true" }, fill);
  if (told.threshold !== null) {
    const mark = make("b");
    mark.style.left = `${100 * told.threshold}%`;
    bar.append(mark);
  }
  return bar;
}

/** @param {Pane[]} panes */
function note(panes) {
  const names = panes.map((pane, i) => `${"AB"[i]}: ${pane.told?.model.name}`).join(", ");
  const task = panes[0]?.told?.model.task;
  const call =
    task === "multilabel"
      ? "A class is called from its threshold on."
      : task === "binary"
        ? "The class that is looked for is called from its threshold on, else the other."
        : "The likeliest class is called.";
  return panes.length > 1 ? `${names}. ${call}` : call;
}

/** @param {number} value */
function round(value) {
  return String(Number(value.toPrecision(3)));
}

/**
 * List the regions of a pane.
 * @param {Pane} pane
 * @param {(x: number, y: number) => void} onChoose
 */
export function showRegions(pane, onChoose) {
  const { regions, map } = pane;
  const list = byId("regions", HTMLElement);
  list.replaceChildren(
    ...regions.slice(0, MOST_REGIONS).map((region, index) => {
      // A share of a logit with the other sign, or of none, would say nothing.
      const share =
        region.share !== null && region.share > 0 ? `${Math.round(100 * region.share)} % of logit` : "–";
      const padding = region.outline.length ? "" : ", in padding";
      const button = make(
        "button",
        {
          type: "button",
          disabled: region.centre === null,
          "aria-label":
            `${pane.letter ? `${pane.letter}, r` : "R"}egion ${index + 1}: ${signed(region.contribution)} logit units` +
            `${share === "–" ? "" : `, ${share}`}${padding}; show it`,
          "data-contribution": String(region.contribution),
        },
        make("span", {}, `${index + 1}`),
        make("span", { class: region.contribution < 0 ? "swatch minus" : "swatch" }),
        make("span", {}, `${signed(region.contribution)}${padding}`),
        make("span", { class: "share" }, share),
      );
      button.addEventListener("click", () => {
        if (!region.centre) return;
        for (const other of list.querySelectorAll("button")) other.removeAttribute("aria-current");
        button.setAttribute("aria-current", "true");
        onChoose(...region.centre);
      });
      return make("li", {}, button);
    }),
  );
  byId("regions-note", HTMLElement).textContent = map ? regionsNote(pane) : noClass(pane);
}

/** @param {Pane} pane */
function noClass(pane) {
  return pane.told ? `${pane.told.model.name} has no class ${pane.settings.className}.` : "";
}

/** @param {Pane} pane */
function regionsNote(pane) {
  const { regions, settings } = pane;
  const { threshold } = settings;
  const from = threshold === null ? "half of the strongest cell" : `${threshold.toFixed(2)} logit units`;
  if (!regions.length) return `No cell reaches ${from}.`;
  const listed = regions.reduce((sum, region) => sum + region.contribution, 0);
  const more = regions.length > MOST_REGIONS ? ` ${regions.length - MOST_REGIONS} smaller ones are not listed.` : "";
  const rest = (pane.map?.logit ?? 0) - listed;
  return `Cells from ${from} on; together ${signed(listed)}, all other cells ${signed(rest)}.${more}`;
}
