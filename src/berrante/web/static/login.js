// Comforts alone: the form works without.
"use strict";
const password = document.getElementById("password");
const reveal = document.getElementById("reveal");
const submit = document.getElementById("submit");
const caps = document.getElementById("caps");

reveal.hidden = false;
reveal.addEventListener("click", () => {
  const shown = password.type === "password";
  password.type = shown ? "text" : "password";
  reveal.textContent = shown ? "Hide" : "Show";
  reveal.setAttribute("aria-pressed", String(shown));
  password.focus();
});
for (const kind of ["keydown", "keyup"]) {
  password.addEventListener(kind, (event) => {
    caps.hidden = !(event.getModifierState && event.getModifierState("CapsLock"));
  });
}
document.querySelector("form").addEventListener("submit", () => { submit.disabled = true; });
// A page that comes back from the browser's cache must not stay disabled.
window.addEventListener("pageshow", () => { submit.disabled = false; });
