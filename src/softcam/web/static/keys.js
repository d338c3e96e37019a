// Single keys, listed in the help, which also turns them off.

import { byId, make } from "./dom.js";

/** @typedef {{keys: string[], text: string, run: (key: string) => void}} Shortcut */

/** @param {Shortcut[]} shortcuts */
export function listenForKeys(shortcuts) {
  const enabled = byId("use-keys", HTMLInputElement);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (!enabled.checked || document.querySelector("dialog[open]") || isTyping(event.target)) return;
    const found = shortcuts.find(({ keys }) => keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found.run(event.key);
  });
  byId("keys", HTMLElement).replaceChildren(
    ...[...FIXED, ...shortcuts].map(({ keys, text }) =>
      make(
        "tr",
        {},
        make("td", {}, ...keys.map((key) => make("kbd", {}, NAMES[key] ?? key))),
        make("td", {}, text),
      ),
    ),
  );
}

/** @type {Record<string, string>} */
const NAMES = { " ": "Space" };
const FIXED = [
  { keys: ["Tab"], text: "to the next control" },
  { keys: ["←", "→", "↑", "↓"], text: "in the image: to the next evidence cell; Shift: the next pixel; Ctrl: move the image" },
  { keys: ["Esc"], text: "in the image: take the reading mark away" },
  { keys: ["Ctrl+Enter"], text: "save the reading" },
];

/** @param {EventTarget|null} target */
function isTyping(target) {
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["radio", "checkbox", "range"].includes(target.type);
}
