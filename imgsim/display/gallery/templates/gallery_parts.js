"use strict";

// What the page knows, and the elements it is made of.

const data = JSON.parse(document.getElementById("data").textContent);
const foldedNames = data.names.map(folded);
const at = (id) => document.getElementById(id);
const narrow = window.matchMedia("(max-width: 999px)");
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");
const GAP = 10;
const CAPTION = 30;

const state = {
  view: "pictures",
  group: null,
  opened: null,
  history: [],
  cameFrom: null,
  shown: [...data.names.keys()],
  current: 0,
};

/** Return a text as it is searched: whatever its case, and however its accents are made. */
function folded(text) {
  return text.toLowerCase().toUpperCase().normalize("NFC");
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function button(className, onClick, ...children) {
  const made = element("button", className);
  made.type = "button";
  made.append(...children);
  made.addEventListener("click", onClick);
  return made;
}

/** Return a name that is shortened in its middle; its ends tell most. */
function nameOf(name) {
  const letters = [...name];
  const made = element("bdi", "name");
  made.dir = "auto";
  made.append(element("span", "", letters.slice(0, -8).join("")));
  made.append(element("span", "", letters.slice(-8).join("")));
  return made;
}

function mark(group) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const { color, shape } = markOf(group, data.outside);
  path.setAttribute("d", shape);
  path.setAttribute("fill", color);
  svg.setAttribute("viewBox", "-8 -8 16 16");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return svg;
}

const inDigits = (n) => n.toLocaleString("en");
const count = (n, one, many = `${one}s`) => `${inDigits(n)} ${n === 1 ? one : many}`;
const groupName = (i) => data.groups[data.groupOf[i]];
const distanceText = (distance) => (distance === null ? "" : distance.toFixed(3));

// Pictures: their addresses stand in blocks behind this script, parsed when needed.

const blocks = new Map();

function addressOf(i) {
  const n = Math.floor(i / data.blockSize);
  if (!blocks.has(n)) {
    const block = at(`block-${n}`);
    const isWhole = document.readyState !== "loading" || block?.nextElementSibling;
    if (!block || !isWhole) return null;
    blocks.set(n, JSON.parse(block.textContent));
  }
  return blocks.get(n)[i % data.blockSize];
}

function picture(i, name) {
  const box = element("span", "picture");
  const fail = (reason) => {
    box.classList.add("unreadable");
    box.replaceChildren(element("span", "reason", reason));
  };
  if (i in data.reasons) {
    fail(`unreadable: ${data.reasons[i]}`);
    return box;
  }
  const image = new Image();
  image.alt = name;
  image.decoding = "async";
  image.draggable = false;
  image.addEventListener("error", () => fail("the browser cannot show this file"));
  image.dataset.picture = i;
  box.append(image);
  fill(image);
  return box;
}

function fill(image) {
  const address = addressOf(Number(image.dataset.picture));
  if (address === null) return;
  image.src = address;
  delete image.dataset.picture;
}
