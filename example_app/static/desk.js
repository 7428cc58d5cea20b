// Keeps the desk up to date. Without it the page is as it was when it was loaded.

const LIVELY = 700, CALM = 1500; // milliseconds between two looks

const desk = document.querySelector("#desk");
const offline = document.querySelector("#offline");
let next;

export async function look() {
  clearTimeout(next);
  try {
    const answer = await fetch(desk.dataset.address, { signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = desk.cloneNode();
    fresh.innerHTML = await answer.text();
    morph(desk, fresh);
    offline.hidden = true;
  } catch {
    offline.hidden = false;
  }
  clearTimeout(next); // two looks may have been under way
  if (!document.hidden) next = setTimeout(look, isLively() ? LIVELY : CALM);
}

function isLively() {
  return !offline.hidden || desk.querySelector("#summary").dataset.open !== "0";
}

// Changes only what differs: animations go on, and the keyboard's focus stays where it is.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) return void (old.data = fresh.data);
  morphAttributes(old, fresh);
  morphChildren(old, [...fresh.childNodes]);
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

// A child with an id meets its namesake, wherever that was; others meet who stands in their place.
function morphChildren(old, children) {
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of children) {
    const match = child.id ? named.get(child.id) : place && !place.id ? place : null;
    if (match && match !== place) old.insertBefore(match, place);
    if (match) place = match.nextSibling;
    match ? morph(match, child) : old.insertBefore(child, place);
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

document.addEventListener("visibilitychange", look);
look();
