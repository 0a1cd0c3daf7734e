// What is smoother with it; everything works without it.
"use strict";

// a training run moves without loading the page again
const panel = document.querySelector("[data-progress]");
const SECOND = 1000;

function say(there, text) {
  // only what is new is read out
  if (there.textContent !== text) there.textContent = text;
}

async function follow() {
  if (!panel.querySelector("[data-running]")) return;
  try {
    const answer = await fetch(panel.dataset.progress, { cache: "no-store" });
    if (answer.ok) {
      const fresh = document.createElement("template");
      // made by the same template as the page, with every text escaped
      fresh.innerHTML = await answer.text();
      const running = fresh.content.querySelector("[data-running]");
      if (!running) {
        location.reload();
        return;
      }
      // in place, so that the button keeps the focus
      for (const part of ["[data-phase]", "[data-percent]"]) {
        say(panel.querySelector(part), running.querySelector(part).textContent);
      }
      panel.querySelector("progress").value = running.querySelector("progress").value;
    }
  } catch {
    // the service may be away for a moment
  }
  setTimeout(follow, SECOND);
}

if (panel) setTimeout(follow, SECOND);
