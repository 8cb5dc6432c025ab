"use strict";

// Groups, views, theme and keys; the page begins here.

// Groups

function makeGroups() {
  const nav = at("groups");
  const sizes = new Array(data.groups.length).fill(0);
  for (const group of data.groupOf) sizes[group] += 1;
  const add = (group, name, size, ...marks) => {
    const text = element("bdi", "", name);
    const made = button("group", () => chooseGroup(group), ...marks, text,
      element("span", "size", inDigits(size)));
    made.setAttribute("aria-pressed", group === state.group);
    made.dataset.group = group;
    made.title = name;
    nav.append(made);
  };
  add(null, "All groups", data.names.length);
  data.groups.forEach((name, group) => add(group, name, sizes[group], mark(group)));
  nav.hidden = at("skip").hidden = false;
}

function chooseGroup(group) {
  state.group = group;
  for (const made of at("groups").children) {
    made.setAttribute("aria-pressed", made.dataset.group === String(group));
  }
  if (state.view === "queries") chooseView("pictures");
  showFromTop();
}

/** Return how far to scroll for the first row to stand below the bar. */
function pageTop() {
  return narrow.matches ? document.querySelector("main").offsetTop : 0;
}

// Views, theme and keys

function chooseView(view) {
  state.view = view;
  for (const part of document.querySelectorAll("main > [data-view]")) {
    part.hidden = part.dataset.view !== view;
  }
  for (const made of at("views").children) {
    made.setAttribute("aria-pressed", made.dataset.view === view);
  }
  at("sort").disabled = view !== "pictures";
  if (view === "map") map.resize();
  refresh();
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : systemIsDark.matches;
}

function nameTheme() {
  at("theme").textContent = isDark() ? "Light" : "Dark";
}

function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
  if (state.view === "map") map.resize();
}

function stepOf(key) {
  const steps = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -grid.columns,
    ArrowDown: grid.columns,
    Home: -Infinity,
    End: Infinity,
  };
  return steps[key];
}

function move(step) {
  if (!list.contains(document.activeElement)) {
    const isNear = cards.has(state.shown[state.current]);
    focusCard(isNear ? state.current : firstVisible());
    return;
  }
  const k = state.current + step;
  const leaves = Number.isFinite(step) && (k < 0 || k >= state.shown.length);
  if (!leaves) focusCard(k);
}

function firstVisible() {
  const above = at("bar").offsetHeight - list.getBoundingClientRect().top;
  return Math.max(0, Math.ceil(above / grid.row)) * grid.columns;
}

function onKey(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  if (key === "Escape" && !(target === at("search") && target.value)) return closePicture();
  if (target.matches("input, select")) return;
  const inGrid = target === document.body || list.contains(target);
  if (key === "/") at("search").focus();
  else if (key === "?") at("help").showModal();
  else if (key === "Backspace") goBack();
  else if (stepOf(key) && state.view === "pictures" && inGrid) move(stepOf(key));
  else return;
  event.preventDefault();
}

// Beginning

function describe() {
  const groups = data.groups?.filter((_, group) => group !== data.outside).length;
  const parts = [count(data.names.length, "image")];
  if (data.groups) parts.push(count(groups, "group"));
  if (data.queries) parts.push(count(data.queries.names.length, "query", "queries"));
  at("summary").textContent = parts.map((part) => part.replace(" ", "\u00a0")).join(" · ");
}

function offer() {
  const offers = { map: data.positions, queries: data.queries };
  for (const made of at("views").children) {
    made.hidden = made.dataset.view !== "pictures" && !offers[made.dataset.view];
    made.addEventListener("click", () => chooseView(made.dataset.view));
  }
  at("views").hidden = !data.positions && !data.queries;
  const sorts = { group: data.groups, distance: data.neighbors || data.centers };
  for (const [name, isOffered] of Object.entries(sorts)) {
    if (!isOffered) continue;
    const option = at("sort").querySelector(`[value=${name}]`);
    option.hidden = option.disabled = false;
  }
}

function listen() {
  at("search").addEventListener("input", showFromTop);
  at("sort").addEventListener("change", showFromTop);
  at("theme").addEventListener("click", switchTheme);
  at("keys").addEventListener("click", () => at("help").showModal());
  at("help").querySelector("button").addEventListener("click", () => at("help").close());
  at("back").addEventListener("click", goBack);
  at("close").addEventListener("click", closePicture);
  for (const made of at("zoom").children) {
    made.addEventListener("click", () => map.zoomBy(Number(made.dataset.zoom)));
  }
  tip.addEventListener("pointerdown", (event) => event.stopPropagation());
  document.addEventListener("keydown", onKey);
  window.addEventListener("scroll", drawGrid, { passive: true });
  window.addEventListener("resize", drawGrid);
  new ResizeObserver(() => {
    if (state.view === "map") map.resize();
    if (state.view !== "pictures") return;
    measure();
    drawGrid();
  }).observe(at("bar"));
  systemIsDark.addEventListener("change", nameTheme);
  document.addEventListener("DOMContentLoaded", () =>
    document.querySelectorAll("img[data-picture]").forEach(fill),
  );
}

describe();
offer();
if (data.groups) makeGroups();
if (data.queries) makeQueries();
listen();
nameTheme();
refresh();
