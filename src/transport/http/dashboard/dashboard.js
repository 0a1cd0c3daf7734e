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

// what is counted moves without loading the page again
const LIVE = "[data-live]";
const BEAT = 10 * SECOND;

// who reads there by the keyboard, presses a button, or has marked text, keeps what they have
function isInUse(part) {
  const marked = getSelection();
  return part.matches(":active") || part.contains(document.activeElement) || (!marked.isCollapsed && marked.containsNode(part, true));
}

function swap(part, fresh) {
  const opened = (of) => [...of.querySelectorAll("details")];
  const open = opened(part).map((one) => one.open);
  for (const one of opened(part)) one.removeAttribute("open");
  if (part.innerHTML !== fresh.innerHTML) {
    const sideways = [part, ...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    part.replaceChildren(...fresh.childNodes);
    [part, ...part.querySelectorAll(".scroll")].forEach((one, i) => {
      one.scrollLeft = sideways[i] ?? 0;
    });
  }
  opened(part).forEach((one, i) => {
    one.open = open[i] ?? false;
  });
}

async function keepUp() {
  try {
    const answer = document.hidden ? null : await fetch(location.href, { cache: "no-store" });
    if (answer?.ok) {
      // made by the same template as the page, with every text escaped; scripts in it are not run
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll(LIVE)) {
        const fresh = page.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
        if (fresh && !isInUse(part)) swap(part, fresh);
      }
    }
  } catch {
    // the service may be away for a moment
  }
  setTimeout(keepUp, BEAT);
}

if (document.querySelector(LIVE)) setTimeout(keepUp, BEAT);
