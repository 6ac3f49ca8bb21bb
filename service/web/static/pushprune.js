// What pages do beyond htmx: tell ages, draw charts from their tables, copy, and leave alone what somebody is at.
"use strict";

const told = new WeakMap(); // panel → the answer that it shows
let followed = null; // the link with the focus in a panel that is about to be replaced: its address, and which from the end

function age(at) {
  const s = Math.round((Date.now() - at) / 1000);
  const steps = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [length, unit] = steps.find(([length]) => Math.abs(s) >= length) || [1, "second"];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.trunc(s / length), unit);
}

function tellAges() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    if (!time.title) time.title = time.textContent;
    const said = age(Date.parse(time.dateTime));
    if (time.textContent !== said) time.textContent = said;
  }
}

// Somebody who types, marks text, or has opened something, must not lose it to an answer that was not asked for.
function isInUse(panel) {
  const at = document.activeElement, marked = getSelection();
  if (!marked.isCollapsed && panel.contains(marked.anchorNode)) return true;
  const types = panel.contains(at) && at.matches("input, select, textarea, button, summary");
  return types || panel.querySelector("details[open], input[name=item]:checked") !== null;
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

for (const name of ["htmx:sendError", "htmx:timeout"]) document.addEventListener(name, () => say(true));

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function draw(place) {
  const rows = [...document.querySelectorAll(`#${place.dataset.chart} tbody tr`)];
  if (!rows.length || typeof uPlot === "undefined") return;
  const column = (number) => rows.map((row) => Number(row.cells[number].dataset.value));
  const text = colour("--text"), grid = { stroke: colour("--border"), width: 0.5 };
  const axis = { stroke: text, grid, ticks: grid };
  const bytes = (_, values) => values.map((value) => value === null ? "" : `${(value / 1e6).toFixed(value < 1e8 ? 1 : 0)} MB`);
  const line = (label, stroke, scale) => ({ label, stroke: colour(stroke), width: 2, scale, points: { show: false } });
  place.replaceChildren();
  new uPlot({
    width: place.clientWidth,
    height: window.innerWidth < 720 ? 190 : 260,
    scales: { y: { range: (_, low, high) => [0, Math.max(1, high)] }, bytes: { range: (_, low, high) => [0, Math.max(1e6, high)] } },
    axes: [axis, { ...axis, size: 44 }, { ...axis, scale: "bytes", side: 1, size: 70, values: bytes, grid: { show: false } }],
    series: [{}, line("Pushes", "--chart-1", "y"), line("Deletes", "--chart-2", "y"), line("Reclaimed", "--chart-3", "bytes")],
  }, [rows.map((row) => Number(row.dataset.at)), column(1), column(2), column(3)], place);
}

document.addEventListener("htmx:afterSwap", () => { tellAges(); drawAll(); follow(); });
function drawAll() { document.querySelectorAll("[data-chart]").forEach(draw); }
window.addEventListener("resize", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

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

tellAges();
drawAll();
setInterval(tellAges, 1000);
