"use strict";

// The chosen picture with its neighbours, the map and the queries.

/** Open what was chosen outside of the panel; a key, which clicks 0 times, goes there. */
function openFrom(i, event) {
  state.cameFrom = document.activeElement;
  state.current = Math.max(0, state.shown.indexOf(i));
  openPicture(i);
  const isFar = event?.detail === 0 && state.view === "queries";
  if (narrow.matches || isFar) at("name").focus({ preventScroll: true });
}

function openPicture(i, { goesBack = false } = {}) {
  const goesOn = state.opened !== null && state.opened !== i;
  if (goesOn && !goesBack) state.history.push(state.opened);
  state.opened = i;
  showPanel(i);
  if (at("sort").value === "distance") {
    if (state.view === "pictures") showFromTop();
    else refresh();
  }
  drawGrid();
  map?.choose(i, data.neighbors?.[i]?.[0] ?? []);
}

function showPanel(i) {
  const panel = at("panel");
  panel.classList.add("open");
  at("hint").hidden = true;
  at("chosen").hidden = false;
  at("back").disabled = state.history.length === 0;
  at("portrait").replaceChildren(picture(i, data.names[i]));
  at("name").replaceChildren(element("bdi", "", data.names[i]));
  at("group").replaceChildren();
  if (data.groups) at("group").append(mark(data.groupOf[i]), element("bdi", "", groupName(i)));
  const center = data.centers?.[i] ?? null;
  at("place").textContent =
    `${inDigits(i + 1)} of ${count(data.names.length, "image")}` +
    (center === null ? "" : `, ${distanceText(center)} from the centre of its group`);
  at("near").hidden = !data.neighbors;
  at("neighbors").replaceChildren();
  if (data.neighbors) showNeighbors(data.neighbors[i]);
  panel.scrollTop = 0;
}

function showNeighbors(answer) {
  const found = answer ? answer[0] : [];
  const title = found.length ? "Neighbours" : "No similar images";
  at("near").textContent = answer ? title : "Not searched";
  at("neighbors").append(...found.map((j, n) => answerItem(j, n, answer[1][n], goOn)));
}

function answerItem(j, n, distance, onClick) {
  const item = element("li");
  const caption = element("span", "caption");
  caption.append(element("b", "", n + 1), element("span", "distance", distanceText(distance)));
  if (data.groups) caption.prepend(mark(data.groupOf[j]));
  caption.setAttribute("aria-hidden", "true");
  const name = data.names[j];
  const made = button("", (event) => onClick(j, event), picture(j, name), caption);
  made.title = name;
  made.setAttribute("aria-label", `${n + 1}: ${name}, distance ${distanceText(distance)}`);
  item.append(made);
  return item;
}

function goOn(i) {
  openPicture(i);
  at("name").focus({ preventScroll: true });
}

function goBack() {
  if (!state.history.length) return;
  const hadFocus = at("panel").contains(document.activeElement);
  openPicture(state.history.pop(), { goesBack: true });
  if (hadFocus) at("name").focus({ preventScroll: true });
}

function closePicture() {
  if (state.opened === null) return;
  const hadFocus = at("panel").contains(document.activeElement);
  const closed = state.opened;
  Object.assign(state, { opened: null, history: [] });
  at("panel").classList.remove("open");
  at("chosen").hidden = true;
  at("hint").hidden = false;
  map?.choose(null, []);
  if (at("sort").value === "distance") refresh();
  drawGrid();
  if (hadFocus) giveFocusBack(closed);
}

/** Go back to where the panel was opened from, or else to the button of the view. */
function giveFocusBack(closed) {
  const k = state.shown.indexOf(closed);
  if (state.view === "pictures" && state.shown.length) {
    focusCard(k < 0 ? state.current : k);
    return;
  }
  if (state.cameFrom !== document.body) state.cameFrom.focus();
  if (document.activeElement === state.cameFrom && state.cameFrom !== document.body) return;
  const chosen = at("views").querySelector("[aria-pressed=true]");
  (at("views").hidden ? at("search") : chosen).focus();
}

// The map

const tip = at("tip");
const map = data.positions
  ? makeMap(
      at("map").querySelector("canvas"),
      data.positions,
      data.names.map((_, i) => markOf(data.groups ? data.groupOf[i] : 0, data.outside)),
      { onHover: showTip, onOpen: openFrom },
    )
  : null;

function showTip(i, x, y) {
  tip.hidden = i === null;
  if (i === null) return;
  tip.replaceChildren(picture(i, ""), element("bdi", "", data.names[i]));
  if (data.groups) tip.append(element("bdi", "muted", groupName(i)));
  const { clientWidth: width, clientHeight: height } = at("map");
  const left = Math.min(Math.max(x - tip.offsetWidth / 2, 4), width - tip.offsetWidth - 4);
  const fits = y + 16 + tip.offsetHeight < height - 56; // above the buttons
  tip.style.left = `${left}px`;
  tip.style.top = `${fits ? y + 16 : Math.max(4, y - 16 - tip.offsetHeight)}px`;
}

// Queries: a row is filled when it comes near the window.

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
    at("queries").append(row);
    rowObserver.observe(row);
  });
}

function fillRow(row) {
  rowObserver.unobserve(row);
  const q = Number(row.dataset.query);
  const [name, answer] = [data.queries.names[q], data.queries.answers[q]];
  const asked = element("figure");
  const caption = element("figcaption", "caption");
  caption.append(nameOf(name));
  asked.append(picture(data.names.length + q, name), caption);
  row.append(asked);
  if (!answer || !answer[0].length) {
    row.append(element("p", "muted", answer ? "no similar images" : "not searched"));
    return;
  }
  const answers = element("ol");
  answers.append(...answer[0].map((j, n) => answerItem(j, n, answer[1][n], openFrom)));
  row.append(answers);
}

function queryStatus(wanted) {
  let n = 0;
  for (const row of at("queries").children) {
    row.hidden = !row.dataset.name.includes(wanted);
    n += row.hidden ? 0 : 1;
  }
  if (n === 0) return "No query has such a name.";
  const [shown, all] = [inDigits(n), data.queries.names.length];
  return (n < all ? `${shown} of ` : "") + count(all, "query", "queries");
}
