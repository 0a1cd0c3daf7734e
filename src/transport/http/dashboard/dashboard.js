// What is smoother with it; everything works without it.
"use strict";

// a picker answers at once; the button stays for the keyboard
for (const select of document.querySelectorAll("form.picker select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

// a training run moves without loading the page again
const panel = document.querySelector("[data-progress]");
const SECOND = 1000;
async function follow() {
  if (!panel.querySelector("[data-running]")) return;
  try {
    const answer = await fetch(panel.dataset.progress, { cache: "no-store" });
    if (answer.ok) {
      // made by the same template as the page, with every text escaped
      panel.innerHTML = await answer.text();
      if (!panel.querySelector("[data-running]")) {
        location.reload();
        return;
      }
    }
  } catch {
    // the service may be away for a moment
  }
  setTimeout(follow, SECOND);
}
if (panel) setTimeout(follow, SECOND);
