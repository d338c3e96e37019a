// Light or dark: as the system has it, or as chosen.

const KEY = "softcam-theme";
const NAMES = { system: "as the system", light: "light", dark: "dark" };
const ORDER = /** @type {const} */ (["system", "light", "dark"]);

/** @typedef {keyof typeof NAMES} Theme */

/** @returns {Theme} */
function stored() {
  try {
    const found = localStorage.getItem(KEY);
    return found === "light" || found === "dark" ? found : "system";
  } catch {
    return "system";
  }
}

let theme = stored();

function apply() {
  document.documentElement.dataset["theme"] = theme;
  const button = document.getElementById("theme");
  if (!button) return;
  button.setAttribute("aria-label", `Theme: ${NAMES[theme]}`);
  button.textContent = `Theme: ${{ system: "auto", light: "light", dark: "dark" }[theme]}`;
}

export function nextTheme() {
  theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? "system";
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // A browser that keeps nothing has the theme until it is closed.
  }
  apply();
}

apply();
document.getElementById("theme")?.addEventListener("click", nextTheme);
