// What textual.js leaves to the page: the address of the websocket, and where the keys go.
"use strict";

addEventListener("DOMContentLoaded", () => {
  const { body } = document;
  const terminal = document.getElementById("terminal");
  // Relative to the page, as a forwarded port may have another number than the server's.
  terminal.dataset.sessionWebsocketUrl = new URL("ws", location.href).href.replace(/^http/, "ws");

  // The app takes keys once it hears that it has the focus, which it can only hear once it runs.
  let running = false;
  new MutationObserver(() => {
    if (body.classList.contains("-closed")) {
      document.querySelector("#closed a").focus();
    } else if (!running && body.classList.contains("-first-byte")) {
      running = true;
      const keys = terminal.querySelector("textarea");
      keys.blur();
      keys.focus();
    }
  }).observe(body, { attributes: true, attributeFilter: ["class"] });
});
