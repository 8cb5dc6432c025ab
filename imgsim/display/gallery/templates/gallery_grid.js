"use strict";

// The grid of images. Only the cards near the window are in the document.

const list = byId("pictures");
const cards = new Map();
let grid = { columns: 1, cell: 0, row: 0 };

function makeCard(i) {
  const card = element("li", "card");
  const name = data.names[i];
  const caption = element("span", "caption");
  if (data.clusters) caption.append(marker(data.clusterOf[i]));
  caption.append(nameOf(name));
  caption.setAttribute("aria-hidden", "true");
  const opener = button("", () => openFrom(i), thumbnail(i, name), caption);
  opener.title = data.clusters ? `${name}, ${clusterName(i)}` : name;
  opener.setAttribute("aria-label", opener.title);
  card.append(opener);
  return card;
}

function measure() {
  const width = list.clientWidth;
  const minWidth = narrow.matches ? 104 : 132;
  const columns = Math.max(2, Math.floor((width + GAP) / (minWidth + GAP)));
  const cell = (width - GAP * (columns - 1)) / columns;
  grid = { columns, cell, row: cell + CAPTION + GAP };
  list.style.setProperty("--cell", `${cell}px`);
  list.style.height = `${Math.ceil(state.shown.length / columns) * grid.row}px`;
}

function drawGrid() {
  if (state.view !== "pictures" || !list.clientWidth) return;
  const top = list.getBoundingClientRect().top;
  const firstRow = Math.max(0, Math.floor(-top / grid.row) - 2);
  const lastRow = Math.ceil((window.innerHeight - top) / grid.row) + 2;
  const first = firstRow * grid.columns;
  const visible = state.shown.slice(first, Math.max(first, lastRow * grid.columns));
  const kept = new Set(visible);
  for (const [i, card] of cards) {
    if (kept.has(i)) continue;
    card.remove();
    cards.delete(i);
  }
  visible.forEach((i, n) => placeCard(i, first + n, n));
}

function placeCard(i, k, n) {
  if (!cards.has(i)) cards.set(i, makeCard(i));
  const card = cards.get(i);
  const [row, column] = [Math.floor(k / grid.columns), k % grid.columns];
  const [x, y] = [column * (grid.cell + GAP), row * grid.row];
  card.style.transform = `translate(${x}px, ${y}px)`;
  card.setAttribute("aria-posinset", k + 1);
  card.setAttribute("aria-setsize", state.shown.length);
  card.firstChild.tabIndex = k === state.current ? 0 : -1;
  card.classList.toggle("opened", i === state.opened);
  if (list.children[n] !== card) list.insertBefore(card, list.children[n] ?? null);
}

function focusCard(k) {
  if (!state.shown.length) return;
  state.current = Math.min(Math.max(k, 0), state.shown.length - 1);
  scrollToRow(Math.floor(state.current / grid.columns));
  drawGrid();
  cards.get(state.shown[state.current])?.firstChild.focus({ preventScroll: true });
}

function scrollToRow(row) {
  const top = list.getBoundingClientRect().top + row * grid.row;
  const covered = byId("bar").offsetHeight + GAP;
  const below = top + grid.row - window.innerHeight;
  if (row === 0 && top < covered) window.scrollTo(0, 0);
  else if (top < covered) window.scrollBy(0, top - covered);
  else if (below > 0) window.scrollBy(0, below);
}

// Selection and order of the images

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sortedImages() {
  const all = [...data.names.keys()];
  const order = byId("sort").value;
  if (order === "name") {
    const collator = new Intl.Collator("en", { numeric: true });
    return all.sort((a, b) => collator.compare(data.names[a], data.names[b]) || a - b);
  }
  if (order === "group") return all.sort((a, b) => data.clusterOf[a] - data.clusterOf[b] || a - b);
  if (order !== "distance") return all;
  const distanceOf = sortingDistance();
  return all.sort((a, b) => compare(distanceOf(a), distanceOf(b)) || a - b);
}

/** Return the function of the distance to the open image, or to the center of the cluster. */
function sortingDistance() {
  const result = state.opened === null ? null : data.neighbors?.[state.opened];
  if (!result) return (i) => data.centerDistances?.[i] ?? Infinity;
  const [rows, distances] = result;
  const known = new Map(rows.map((row, n) => [row, distances[n]]));
  known.set(state.opened, -Infinity);
  return (i) => known.get(i) ?? Infinity;
}

function orderText() {
  if (byId("sort").value !== "distance") return "";
  const result = state.opened === null ? null : data.neighbors?.[state.opened];
  if (result) return neighborOrderText(result[0]);
  if (data.centerDistances) return ", nearest to the center of their cluster first";
  if (state.opened === null) return "; open an image to sort by distance to it";
  return `; ${data.names[state.opened]} was not searched`;
}

/** Describe the order. Only the neighbors of the open image have a distance to it. */
function neighborOrderText(rows) {
  const name = data.names[state.opened];
  const shown = new Set(state.shown);
  const nNeighbors = rows.filter((row) => shown.has(row)).length;
  const isShown = shown.has(state.opened);
  if (!nNeighbors && !isShown) return `, in the given order: no neighbor of ${name} is shown`;
  const part = nNeighbors < rows.length ? `${formatted(nNeighbors)} of ` : "";
  const neighbors = `${part}${isShown ? "its" : "the"} ${count(rows.length, "neighbor")}`;
  const first = [isShown && name, nNeighbors && neighbors].filter(Boolean).join(" and ");
  const ofWhat = isShown ? "" : ` of ${name}`;
  const isAll = nNeighbors + Number(isShown) === shown.size;
  return `, ${first}${ofWhat} first${isAll ? "" : ", the others in the given order"}`;
}

/** Update the view, and scroll to its first image. */
function showFromTop() {
  window.scrollTo(0, Math.min(window.scrollY, pageTop()));
  refresh();
}

function refresh() {
  const text = folded(byId("search").value.trim());
  state.shown = sortedImages().filter(
    (i) =>
      (state.cluster === null || data.clusterOf[i] === state.cluster) &&
      isInFolder(folderOf(i), state.folder) &&
      foldedNames[i].includes(text),
  );
  state.current = Math.max(0, state.shown.indexOf(state.opened));
  byId("status").textContent = statusText(text);
  measure();
  drawGrid();
  map?.show(state.shown);
}

function placeText() {
  const places = [state.cluster !== null && "cluster", state.folder && "folder"].filter(Boolean);
  return places.length ? `in this ${places.join(" and ")} ` : "";
}

/** Return whether a folder is another folder or is below it. Each is below the empty one. */
function isInFolder(folder, other) {
  return other === "" || folder === other || folder.startsWith(`${other}/`);
}

function statusText(text) {
  if (state.view === "queries") return queryStatus(text);
  const [n, all] = [state.shown.length, data.names.length];
  if (n === 0) return `No image ${placeText()}has a matching name.`;
  const shown = (n < all ? `${formatted(n)} of ` : "") + count(all, "image");
  if (state.view === "pictures") return shown + orderText();
  const nMissing = state.shown.filter((i) => !data.positions[i]).length;
  return shown + (nMissing ? `, ${formatted(nMissing)} without a position on the map` : "");
}
