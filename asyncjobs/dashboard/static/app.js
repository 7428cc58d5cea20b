// The dashboard works without this file. With it, what lives on a page is asked for again every two
// seconds while somebody looks, and morphed in place by htmx.
"use strict";

const EVERY = 2000; // milliseconds
const PAUSED = "asyncjobs.paused";
const page = document.documentElement;
const byId = (id) => document.getElementById(id);

// Paused is remembered for the tab; without storage it is forgotten at the next page.
const memory = {
  get paused() { try { return sessionStorage.getItem(PAUSED) !== null; } catch { return false; } },
  set paused(yes) {
    try { yes ? sessionStorage.setItem(PAUSED, "") : sessionStorage.removeItem(PAUSED); } catch { /* forgotten */ }
  },
};
let paused = memory.paused;
let trouble = "";

function tick() {
  if (!paused && document.visibilityState === "visible") refresh();
}

function refresh() {
  byId("live")?.dispatchEvent(new CustomEvent("refresh"));
}

function tell() {
  const button = byId("live-switch");
  if (!button) return;
  button.className = `switch js-only ${paused ? "is-paused" : trouble ? "is-troubled" : "is-live"}`;
  button.lastElementChild.textContent = paused ? "Paused" : trouble || "Live";
  button.title = paused ? "Resume updates" : "Pause updates";
}

function pauseOrResume() {
  memory.paused = paused = !paused;
  tell();
  tick();
}

// While the pointer or the focus is on the rows they keep their places: each is brought up to date where
// it stands, one that has left stays, dimmed, and new ones wait until nobody points at anything.
function keepPlaces(fresh) {
  const rows = byId("rows"), arriving = fresh.querySelector("#rows");
  if (!rows || !arriving || !(rows.matches(":hover") || rows.contains(document.activeElement))) return;
  const news = new Map([...arriving.children].map((row) => [row.id, row]));
  const kept = [...rows.children].map((row) => {
    const now = news.get(row.id);
    if (news.delete(row.id)) return now;
    const gone = row.cloneNode(true);
    gone.classList.add("is-gone");
    return gone;
  });
  arriving.replaceChildren(...kept);
  if (news.size) fresh.querySelector("#waiting").textContent = `${news.size} new, waiting while you point here`;
}

// The server writes UTC; whoever hovers wants to know it in their own time too.
function addLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const local = new Date(time.dateTime);
    if (!Number.isNaN(local.valueOf())) time.title += `\n${local.toLocaleString()}`;
  }
}

document.addEventListener("htmx:before:swap", (event) => {
  const fresh = event.detail.tasks[0]?.fragment;
  if (!fresh?.querySelector("[data-live]")) {
    // Not our page: a redirect to a login, for one. Let the browser go there.
    event.preventDefault();
    if (event.detail.ctx.response.status < 400) location.reload();
    return;
  }
  keepPlaces(fresh);
  addLocalTimes(fresh);
});

document.addEventListener("htmx:after:request", (event) => {
  const status = event.detail.ctx.response.status;
  trouble = status < 400 ? "" : status === 404 ? "Gone" : status === 403 || status === 401 ? "Shut out" : "No answer";
  tell();
});

document.addEventListener("htmx:error", () => {
  trouble = "No answer";
  tell();
});

document.addEventListener("visibilitychange", tick);

document.addEventListener("change", (event) => {
  const form = event.target.closest(".filters");
  if (!form) return;
  // As the form would, but what was not chosen need not stand in the address.
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
  location.assign(`${form.action}?${query}`);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (button?.id === "live-switch") pauseOrResume();
  if (!button?.dataset.copy) return;
  const text = document.querySelector(button.dataset.copy).textContent;
  let said = "Copied";
  try { await navigator.clipboard.writeText(text); } catch { said = "Not allowed"; }
  button.textContent = said;
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

// What was done is told once: a reload does not tell it again.
function forgetFlash() {
  const address = new URL(location.href);
  if (!address.searchParams.has("did")) return;
  address.searchParams.delete("did");
  history.replaceState(null, "", address);
}

function start() {
  page.classList.add("js");
  forgetFlash();
  addLocalTimes(document);
  tell();
  setInterval(tick, EVERY);
}

start();
