"use strict";

// The selected image with its neighbors, the map and the queries.

/** Open an image from outside the panel. Enter, which has no click count, moves the focus. */
function openFrom(i, event) {
  state.cameFrom = document.activeElement;
  state.current = Math.max(0, state.shown.indexOf(i));
  const isFirst = state.opened === null && !narrow.matches;
  if (isFirst) keepInPlace(i, () => openImage(i));
  else openImage(i);
  const isKey = event?.detail === 0 && state.view === "queries";
  if (narrow.matches || isKey) byId("name").focus({ preventScroll: true });
}

/** Open the panel, which makes the grid narrower, without moving a card of the grid. */
function keepInPlace(i, open) {
  const top = () => cards.get(i)?.getBoundingClientRect().top;
  const before = state.view === "pictures" ? top() : undefined;
  open();
  if (before === undefined || byId("sort").value === "distance") return;
  measure();
  scrollToRow(Math.floor(state.current / grid.columns));
  drawGrid();
  const after = top();
  if (after !== undefined) window.scrollBy(0, after - before);
  drawGrid();
}

function openImage(i, { isBack = false } = {}) {
  const isOther = state.opened !== null && state.opened !== i;
  if (isOther && !isBack) state.history.push(state.opened);
  state.opened = i;
  showPanel(i);
  if (byId("sort").value === "distance") {
    if (state.view === "pictures") showFromTop();
    else refresh();
  }
  drawGrid();
  map?.select(i, data.neighbors?.[i]?.[0] ?? []);
}

function showPanel(i) {
  const panel = byId("panel");
  panel.classList.add("open");
  byId("back").disabled = state.history.length === 0;
  byId("portrait").replaceChildren(thumbnail(i, data.names[i]));
  byId("name").replaceChildren(element("bdi", "", data.names[i]));
  byId("path").hidden = !data.folders;
  if (data.folders) byId("path").replaceChildren(element("bdi", "", pathOf(i)));
  byId("group").replaceChildren();
  if (data.clusters) byId("group").append(marker(data.clusterOf[i]), element("bdi", "", clusterName(i)));
  const center = data.centerDistances?.[i] ?? null;
  byId("place").textContent =
    `image ${formatted(i + 1)} of ${formatted(data.names.length)}` +
    (center === null ? "" : `, at distance ${distanceText(center)} from the center of its cluster`);
  byId("near").hidden = !data.neighbors;
  byId("neighbors").replaceChildren();
  if (data.neighbors) showNeighbors(data.neighbors[i]);
  panel.scrollTop = 0;
}

function showNeighbors(result) {
  const [rows, distances] = result ?? [[], []];
  const title = rows.length ? "Neighbors" : "No similar images";
  byId("near").textContent = result ? title : "Not searched";
  byId("neighbors").append(
    ...rows.map((j, n) => neighborItem(j, n, distances[n], openNeighbor)),
  );
}

function neighborItem(j, n, distance, onClick) {
  const item = element("li");
  const caption = element("span", "caption");
  caption.append(element("b", "", n + 1), element("span", "distance", distanceText(distance)));
  if (data.clusters) caption.prepend(marker(data.clusterOf[j]));
  caption.setAttribute("aria-hidden", "true");
  const name = data.names[j];
  const opener = button("", (event) => onClick(j, event), thumbnail(j, name), caption);
  opener.title = name;
  opener.setAttribute("aria-label", `${n + 1}: ${name}, distance ${distanceText(distance)}`);
  item.append(opener);
  return item;
}

function openNeighbor(i) {
  openImage(i);
  byId("name").focus({ preventScroll: true });
}

function goBack() {
  if (!state.history.length) return;
  const hadFocus = byId("panel").contains(document.activeElement);
  openImage(state.history.pop(), { isBack: true });
  if (hadFocus) byId("name").focus({ preventScroll: true });
}

function closeImage() {
  if (state.opened === null) return;
  const hadFocus = byId("panel").contains(document.activeElement);
  const closed = state.opened;
  Object.assign(state, { opened: null, history: [] });
  byId("panel").classList.remove("open");
  map?.select(null, []);
  if (byId("sort").value === "distance") refresh();
  if (state.view === "pictures") measure();
  drawGrid();
  if (hadFocus) restoreFocus(closed);
}

/** Focus the element that opened the panel, or else the button of the view. */
function restoreFocus(closed) {
  const k = state.shown.indexOf(closed);
  if (state.view === "pictures" && state.shown.length) {
    focusCard(k < 0 ? state.current : k);
    return;
  }
  if (state.cameFrom !== document.body) state.cameFrom.focus();
  if (document.activeElement === state.cameFrom && state.cameFrom !== document.body) return;
  const viewButton = byId("views").querySelector("[aria-pressed=true]");
  (byId("views").hidden ? byId("search") : viewButton).focus();
}

// The map

const tip = byId("tip");
const map = data.positions
  ? makeMap(
      byId("map").querySelector("canvas"),
      data.positions,
      data.names.map((_, i) => markerStyle(data.clusters ? data.clusterOf[i] : 0, data.noise)),
      { onHover: showTip, onOpen: openFrom },
    )
  : null;

function showTip(i, x, y) {
  tip.hidden = i === null;
  if (i === null) return;
  tip.replaceChildren(thumbnail(i, ""), element("bdi", "", data.names[i]));
  if (data.clusters) tip.append(element("bdi", "muted", clusterName(i)));
  const { clientWidth: width, clientHeight: height } = byId("map");
  const left = Math.min(Math.max(x - tip.offsetWidth / 2, 4), width - tip.offsetWidth - 4);
  const fits = y + 16 + tip.offsetHeight < height - 56; // above the buttons
  tip.style.left = `${left}px`;
  tip.style.top = `${fits ? y + 16 : Math.max(4, y - 16 - tip.offsetHeight)}px`;
}

// Queries. A row is filled when it comes near the window.

const rowObserver = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) fillRow(entry.target);
  },
  { rootMargin: "400px" },
);

function makeQueries() {
  data.queries.names.forEach((name, q) => {
    const row = element("article", "query");
    row.dataset.query = q;
    row.dataset.name = folded(name);
    byId("queries").append(row);
    rowObserver.observe(row);
  });
}

function fillRow(row) {
  rowObserver.unobserve(row);
  const q = Number(row.dataset.query);
  const [name, result] = [data.queries.names[q], data.queries.results[q]];
  const figure = element("figure");
  const caption = element("figcaption", "caption");
  caption.append(nameOf(name));
  figure.append(thumbnail(data.names.length + q, name), caption);
  row.append(figure);
  if (!result || !result[0].length) {
    row.append(element("p", "muted", result ? "no similar images" : "not searched"));
    return;
  }
  const [rows, distances] = result;
  const items = element("ol");
  items.append(...rows.map((j, n) => neighborItem(j, n, distances[n], openFrom)));
  row.append(items);
}

function queryStatus(text) {
  let n = 0;
  for (const row of byId("queries").children) {
    row.hidden = !row.dataset.name.includes(text);
    n += row.hidden ? 0 : 1;
  }
  if (n === 0) return "No query has a matching name.";
  const [shown, all] = [formatted(n), data.queries.names.length];
  return (n < all ? `${shown} of ` : "") + count(all, "query", "queries");
}
