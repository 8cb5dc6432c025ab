"use strict";

// The grid: only the cards near the window are in the document.

const list = at("pictures");
const cards = new Map();
let grid = { columns: 1, cell: 0, row: 0 };

function makeCard(i) {
  const card = element("li", "card");
  const name = data.names[i];
  const caption = element("span", "caption");
  if (data.groups) caption.append(mark(data.groupOf[i]));
  caption.append(nameOf(name));
  caption.setAttribute("aria-hidden", "true");
  const open = button("", () => openFrom(i), picture(i, name), caption);
  open.title = data.groups ? `${name}, ${groupName(i)}` : name;
  open.setAttribute("aria-label", open.title);
  card.append(open);
  return card;
}

function measure() {
  const width = list.clientWidth;
  const least = narrow.matches ? 104 : 132;
  const columns = Math.max(2, Math.floor((width + GAP) / (least + GAP)));
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
  const covered = at("bar").offsetHeight + GAP;
  const below = top + grid.row - window.innerHeight;
  if (row === 0 && top < covered) window.scrollTo(0, 0);
  else if (top < covered) window.scrollBy(0, top - covered);
  else if (below > 0) window.scrollBy(0, below);
}

// What is shown, and in which order

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function inOrder() {
  const all = [...data.names.keys()];
  const by = at("sort").value;
  if (by === "name") {
    const collator = new Intl.Collator("en", { numeric: true });
    return all.sort((a, b) => collator.compare(data.names[a], data.names[b]) || a - b);
  }
  if (by === "group") return all.sort((a, b) => data.groupOf[a] - data.groupOf[b] || a - b);
  if (by !== "distance") return all;
  const distances = distancesShown();
  return all.sort((a, b) => compare(distances(a), distances(b)) || a - b);
}

/** Return distances from the open picture, or else from the centres of the groups. */
function distancesShown() {
  const answer = state.opened === null ? null : data.neighbors?.[state.opened];
  if (!answer) return (i) => data.centers?.[i] ?? Infinity;
  const [rows, distances] = answer;
  const known = new Map(rows.map((row, n) => [row, distances[n]]));
  known.set(state.opened, -Infinity);
  return (i) => known.get(i) ?? Infinity;
}

function sortedBy() {
  if (at("sort").value !== "distance") return "";
  const answer = state.opened === null ? null : data.neighbors?.[state.opened];
  if (answer) return sortedByNeighbors(answer[0]);
  if (data.centers) return ", the nearest to the centre of their group first";
  if (state.opened === null) return "; open a picture to sort by the distance from it";
  return `; ${data.names[state.opened]} was not searched`;
}

/** Say which come first: of an open picture only the neighbours have a distance. */
function sortedByNeighbors(rows) {
  const name = data.names[state.opened];
  const here = new Set(state.shown);
  const nNear = rows.filter((row) => here.has(row)).length;
  const isHere = here.has(state.opened);
  if (!nNear && !isHere) return `, in the given order: no neighbour of ${name} among them`;
  const part = nNear < rows.length ? `${inDigits(nNear)} of ` : "";
  const near = `${part}its ${count(rows.length, "neighbour")}`;
  const first = [isHere && name, nNear && (isHere ? near : near.replace("its", "the"))];
  const leading = first.filter(Boolean).join(" and ") + (isHere ? "" : ` of ${name}`);
  const others = nNear + Number(isHere) < here.size ? ", the others in the given order" : "";
  return `, ${leading} first${others}`;
}

/** Show what is asked for now, from its beginning. */
function showFromTop() {
  window.scrollTo(0, Math.min(window.scrollY, pageTop()));
  refresh();
}

function refresh() {
  const wanted = folded(at("search").value.trim());
  state.shown = inOrder().filter(
    (i) =>
      (state.group === null || data.groupOf[i] === state.group) &&
      foldedNames[i].includes(wanted),
  );
  state.current = Math.max(0, state.shown.indexOf(state.opened));
  at("status").textContent = statusText(wanted);
  measure();
  drawGrid();
  map?.show(state.shown);
}

function statusText(wanted) {
  if (state.view === "queries") return queryStatus(wanted);
  const [n, all] = [state.shown.length, data.names.length];
  if (n === 0) return `No picture ${state.group === null ? "" : "in this group "}has such a name.`;
  const shown = (n < all ? `${inDigits(n)} of ` : "") + count(all, "image");
  if (state.view === "pictures") return shown + sortedBy();
  const nLost = state.shown.filter((i) => !data.positions[i]).length;
  return shown + (nLost ? `, ${inDigits(nLost)} without a place on the map` : "");
}
