// What pages do beyond htmx: show times in the zone of the reader, copy, and leave alone what somebody is at.
"use strict";

const told = new WeakMap(); // panel → the answer that it shows
let followed = null; // the link with the focus in a panel that is about to be replaced: its address, and which from the end

const WEEK_MS = 7 * 86400 * 1000;

function age(at) {
  const s = Math.round((Date.now() - at) / 1000);
  const steps = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [length, unit] = steps.find(([length]) => Math.abs(s) >= length) || [1, "second"];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.trunc(s / length), unit);
}

// 2026-11-29 14:05 in the zone of the reader.
function local(at) {
  const two = (number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return { day, time: `${two(at.getHours())}:${two(at.getMinutes())}`, second: two(at.getSeconds()) };
}

// The server writes UTC. Labels of charts keep their form; other times become an age, or a date if they are far away.
function tellTimes() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime), { day, time: hour, second } = local(at);
    if (!time.title) time.title = time.dataset.as ? `${day} ${hour} (${zone})` : `${day} ${hour}:${second} (${zone})\n${time.textContent}`;
    const isNear = Math.abs(Date.now() - at) < WEEK_MS;
    const said = time.dataset.as ? { time: hour, day }[time.dataset.as] : isNear ? age(at) : `${day} ${hour}`;
    if (time.textContent !== said) time.textContent = said;
  }
}

// Somebody who types, marks text, or has opened something, must not lose it to an answer that was not asked for. A button
// under the pointer must not become that of another row.
function isInUse(panel) {
  const at = document.activeElement, marked = getSelection();
  if (!marked.isCollapsed && panel.contains(marked.anchorNode)) return true;
  const types = panel.contains(at) && at.matches("input, select, textarea, button, summary");
  return types || panel.querySelector("details[open], input[name=item]:checked, button:hover") !== null;
}

function links(panel, address) {
  return [...panel.querySelectorAll("a[href]")].filter((link) => link.getAttribute("href") === address);
}

function note(panel) {
  const at = document.activeElement, address = panel.contains(at) && at.getAttribute("href");
  followed = address ? { panel, address, last: links(panel, address).indexOf(at) - links(panel, address).length } : null;
}

// Whoever goes from link to link by keyboard goes on from there; new rows come in above.
function follow() {
  if (followed) links(followed.panel, followed.address).at(followed.last)?.focus({ preventScroll: true });
  followed = null;
}

function say(isAway) { document.getElementById("away").hidden = !isAway; }

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && told.has(event.detail.target)) event.preventDefault(); // nobody looks
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr, requestConfig } = event.detail;
  const isOurs = !/^\s*<(!doctype|html)/i.test(xhr.responseText); // else a proxy's error or login, as a whole page
  say(!isOurs);
  if (!isOurs) event.detail.shouldSwap = false;
  if (!isOurs || !target.matches(".panel")) return;
  target.removeAttribute("aria-busy");
  const asked = requestConfig.triggeringEvent;
  const isPoll = !asked || asked.type === "load" || asked.type === "htmx:trigger" || requestConfig.verb === "get";
  if (told.get(target) === xhr.responseText || (isPoll && told.has(target) && isInUse(target))) {
    event.detail.shouldSwap = false;
    return;
  }
  told.set(target, xhr.responseText);
  note(target);
});

// A session that has ended leads to the sign-in page, unless a text that the user wrote would be lost by it.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const isWritten = [...document.querySelectorAll("textarea")].some((field) => field.value !== field.defaultValue);
  if (event.detail.xhr.status !== 401 || !isWritten) return;
  event.preventDefault();
  say(true);
});

for (const name of ["htmx:sendError", "htmx:timeout"]) document.addEventListener(name, () => say(true));

// A link to a part of a page leads there although panels that arrive later push that part down, until the reader acts.
let arriving = location.hash.length > 1;
for (const act of ["wheel", "touchstart", "keydown", "mousedown"]) addEventListener(act, () => { arriving = false; }, { once: true, passive: true });

function arrive() {
  if (arriving) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  arriving &&= document.querySelector(".panel[aria-busy]") !== null;
}

document.addEventListener("htmx:afterSwap", () => { tellTimes(); follow(); arrive(); });

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Mark and copy it by hand";
  }
  setTimeout(() => { button.textContent = said; }, 2000);
});

// A page of a list is selected as a whole by the box in its heading.
document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-select-all]")) return;
  for (const box of target.form.querySelectorAll("input[name=item]")) box.checked = target.checked;
});

tellTimes();
setInterval(tellTimes, 1000);
