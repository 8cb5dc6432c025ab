"use strict";

// The data and the state of the page, and the elements that it consists of.

const data = JSON.parse(document.getElementById("data").textContent);
const foldedNames = data.names.map(folded);
const byId = (id) => document.getElementById(id);
const narrow = window.matchMedia("(max-width: 999px)");
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");
const GAP = 10;
const CAPTION = 30;

const state = {
  view: "pictures",
  cluster: null,
  folder: "",
  opened: null,
  history: [],
  cameFrom: null,
  shown: [...data.names.keys()],
  current: 0,
};

/** Return a text in the form that is searched: case-folded, with composed accents. */
function folded(text) {
  return text.toLowerCase().toUpperCase().normalize("NFC");
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function button(className, onClick, ...children) {
  const node = element("button", className);
  node.type = "button";
  node.append(...children);
  node.addEventListener("click", onClick);
  return node;
}

/** Return a name of which the style sheet may hide the middle, but not the last letters. */
function nameOf(name) {
  const letters = [...name];
  const node = element("bdi", "name");
  node.dir = "auto";
  node.append(element("span", "", letters.slice(0, -8).join("")));
  node.append(element("span", "", letters.slice(-8).join("")));
  return node;
}

function marker(cluster) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const { color, shape } = markerStyle(cluster, data.noise);
  path.setAttribute("d", shape);
  path.setAttribute("fill", color);
  svg.setAttribute("viewBox", "-8 -8 16 16");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return svg;
}

const formatted = (n) => n.toLocaleString("en");
const count = (n, one, many = `${one}s`) => `${formatted(n)} ${n === 1 ? one : many}`;
const clusterName = (i) => data.clusters[data.clusterOf[i]];
const folderOf = (i) => (data.folders ? data.folders[data.folderOf[i]] : "");
const pathOf = (i) => [folderOf(i), data.names[i]].filter(Boolean).join("/");
const distanceText = (distance) => (distance === null ? "" : distance.toFixed(3));

// Images. Their addresses are in blocks after this script, which are parsed on demand.

const blocks = new Map();

function addressOf(i) {
  const n = Math.floor(i / data.blockSize);
  if (!blocks.has(n)) {
    const block = byId(`block-${n}`);
    const isComplete = document.readyState !== "loading" || block?.nextElementSibling;
    if (!block || !isComplete) return null;
    blocks.set(n, JSON.parse(block.textContent));
  }
  return blocks.get(n)[i % data.blockSize];
}

function thumbnail(i, name) {
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
  setAddress(image);
  return box;
}

function setAddress(image) {
  const address = addressOf(Number(image.dataset.picture));
  if (address === null) return;
  image.src = address;
  delete image.dataset.picture;
}
