"use strict";

// Clusters, folders, views, theme and keyboard. The page is set up here.

// Clusters

function makeClusters() {
  const nav = byId("groups");
  const sizes = new Array(data.clusters.length).fill(0);
  for (const cluster of data.clusterOf) sizes[cluster] += 1;
  const add = (cluster, name, size, ...markers) => {
    const text = element("bdi", "", name);
    const choice = button("group", () => chooseCluster(cluster), ...markers, text,
      element("span", "size", formatted(size)));
    choice.setAttribute("aria-pressed", cluster === state.cluster);
    choice.dataset.cluster = cluster;
    choice.title = name;
    nav.append(choice);
  };
  add(null, "All clusters", data.names.length);
  data.clusters.forEach((name, cluster) => add(cluster, name, sizes[cluster], marker(cluster)));
  nav.hidden = byId("skip").hidden = false;
}

function chooseCluster(cluster) {
  state.cluster = cluster;
  for (const choice of byId("groups").children) {
    choice.setAttribute("aria-pressed", choice.dataset.cluster === String(cluster));
  }
  if (state.view === "queries") chooseView("pictures");
  showFromTop();
}

// Folders

/** Offer each folder and the folders that contain it, with the number of their images. */
function makeFolders() {
  const sizes = new Map();
  for (const k of data.folderOf) {
    const parts = data.folders[k].split("/");
    parts.forEach((_, n) => {
      const folder = parts.slice(0, n + 1).join("/");
      if (folder) sizes.set(folder, (sizes.get(folder) ?? 0) + 1);
    });
  }
  const add = (folder, text) => {
    const option = element("option", "", text);
    option.value = folder;
    byId("folder").append(option);
  };
  add("", "All folders");
  const collator = new Intl.Collator("en", { numeric: true });
  const folders = [...sizes.keys()].sort(collator.compare);
  for (const folder of folders) add(folder, `${folder} (${formatted(sizes.get(folder))})`);
  byId("filing").hidden = false;
}

function chooseFolder() {
  state.folder = byId("folder").value;
  if (state.view === "queries") chooseView("pictures");
  showFromTop();
}

/** Return the scroll position with the first row right below the bar. */
function pageTop() {
  return narrow.matches ? document.querySelector("main").offsetTop : 0;
}

// Views, theme and keyboard

function chooseView(view) {
  state.view = view;
  for (const part of document.querySelectorAll("main > [data-view]")) {
    part.hidden = part.dataset.view !== view;
  }
  for (const choice of byId("views").children) {
    choice.setAttribute("aria-pressed", choice.dataset.view === view);
  }
  byId("sort").disabled = view !== "pictures";
  if (view === "map") map.resize();
  refresh();
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : systemIsDark.matches;
}

function updateThemeButton() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
}

function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  updateThemeButton();
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
    const isDrawn = cards.has(state.shown[state.current]);
    focusCard(isDrawn ? state.current : firstVisible());
    return;
  }
  const k = state.current + step;
  const isOutside = Number.isFinite(step) && (k < 0 || k >= state.shown.length);
  if (!isOutside) focusCard(k);
}

function firstVisible() {
  const above = byId("bar").offsetHeight - list.getBoundingClientRect().top;
  return Math.max(0, Math.ceil(above / grid.row)) * grid.columns;
}

function onKey(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (key === "Escape" && !(target === byId("search") && target.value)) return closeImage();
  if (target.matches("input, select")) return;
  const inGrid = target === document.body || list.contains(target);
  if (key === "/") byId("search").focus();
  else if (key === "?") byId("help").showModal();
  else if (key === "Backspace") goBack();
  else if (stepOf(key) && state.view === "pictures" && inGrid) move(stepOf(key));
  else return;
  event.preventDefault();
}

// Setup

function showSummary() {
  const nClusters = data.clusters?.filter((_, i) => i !== data.noise).length;
  const parts = [count(data.names.length, "image")];
  if (data.clusters) parts.push(count(nClusters, "cluster"));
  if (data.queries) parts.push(count(data.queries.names.length, "query", "queries"));
  byId("summary").textContent = parts.map((part) => part.replace(" ", "\u00a0")).join(" · ");
}

function showControls() {
  const available = { pictures: true, map: data.positions, queries: data.queries };
  for (const choice of byId("views").children) {
    const { view } = choice.dataset;
    choice.hidden = !available[view];
    choice.addEventListener("click", () => chooseView(view));
  }
  byId("views").hidden = !data.positions && !data.queries;
  const orders = { group: data.clusters, distance: data.neighbors || data.centerDistances };
  for (const [name, isAvailable] of Object.entries(orders)) {
    if (!isAvailable) continue;
    const option = byId("sort").querySelector(`[value=${name}]`);
    option.hidden = option.disabled = false;
  }
}

function addListeners() {
  byId("search").addEventListener("input", showFromTop);
  byId("sort").addEventListener("change", showFromTop);
  byId("folder").addEventListener("change", chooseFolder);
  byId("theme").addEventListener("click", switchTheme);
  byId("keys").addEventListener("click", () => byId("help").showModal());
  byId("help").querySelector("button").addEventListener("click", () => byId("help").close());
  byId("back").addEventListener("click", goBack);
  byId("close").addEventListener("click", closeImage);
  for (const control of byId("zoom").children) {
    control.addEventListener("click", () => map.zoomBy(Number(control.dataset.zoom)));
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
  }).observe(byId("bar"));
  systemIsDark.addEventListener("change", updateThemeButton);
  document.addEventListener("DOMContentLoaded", () =>
    document.querySelectorAll("img[data-picture]").forEach(setAddress),
  );
}

showSummary();
showControls();
if (data.clusters) makeClusters();
if (data.folders) makeFolders();
if (data.queries) makeQueries();
addListeners();
updateThemeButton();
refresh();
