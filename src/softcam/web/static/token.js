// The dialog that asks for the server's token.

import { byId } from "./dom.js";

/** Ask for the token in a dialog, as often as it takes. @param {boolean} wrong @returns {Promise<string>} */
export function askToken(wrong) {
  const dialog = byId("token-dialog", HTMLDialogElement);
  const input = byId("token", HTMLInputElement);
  if (wrong) byId("token-note", HTMLElement).textContent = "That is not the token. Whoever started the server has it.";
  input.value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const given = input.value.trim();
        input.value = "";
        resolve(given ? given : askToken(false));
      },
      { once: true },
    );
  });
}
