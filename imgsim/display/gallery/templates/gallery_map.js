"use strict";

// The colors of Okabe and Ito that are visible on light and dark ground. Every six
// clusters have a shape of their own.
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];
const SHAPES = [
  "M0-6A6 6 0 1 1 0 6A6 6 0 1 1 0-6Z",
  "M-5-5H5V5H-5Z",
  "M0-7L7 5H-7Z",
  "M0-7L7 0L0 7L-7 0Z",
  "M0 7L7-5H-7Z",
  "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
  "M-7-4L-4-7L0-3L4-7L7-4L3 0L7 4L4 7L0 3L-4 7L-7 4L-3 0Z",
];
const NOISE = { color: "#888d93", shape: "M0-4A4 4 0 1 1 0 4A4 4 0 1 1 0-4Z" };

const BUTTON_HEIGHT = 40; // pixels at the bottom

function markerStyle(cluster, noise) {
  if (cluster === noise) return NOISE;
  const shape = Math.floor(cluster / COLORS.length) % SHAPES.length;
  return { color: COLORS[cluster % COLORS.length], shape: SHAPES[shape] };
}

/**
 * Draw points on a canvas that can be panned and zoomed.
 *
 * `points` is a list with [x, y] in the unit square or null, and `markers` a list of
 * their markers. `onHover(i, x, y)` is called with the point under the pointer, or null.
 * `onOpen(i)` is called when a point is clicked. The first tap of a finger only hovers.
 * Two fingers zoom. One finger scrolls the page as long as the whole map is visible.
 */
function makeMap(canvas, points, markers, { onHover, onOpen }) {
  const context = canvas.getContext("2d");
  const paths = new Map(markers.map(({ shape }) => [shape, new Path2D(shape)]));
  const view = { zoom: 1, x: 0.5, y: 0.5 };
  const extent = [0, 1].map((axis) =>
    points.reduce((most, point) => Math.max(most, point ? 2 * Math.abs(point[axis] - 0.5) : 0), 0.1),
  );
  let size = { width: 0, height: 0, side: 0 };
  let shown = new Set(points.keys());
  let selected = null;
  let neighbors = [];
  let hovered = null;
  let pressed = null;
  const pointers = new Map();

  const toScreen = ([x, y]) => [
    size.width / 2 + (x - view.x) * size.side * view.zoom,
    size.height / 2 - (y - view.y) * size.side * view.zoom,
  ];

  function resize() {
    const width = canvas.clientWidth;
    const height = canvas.clientHeight - BUTTON_HEIGHT;
    const scale = window.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = canvas.clientHeight * scale;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const side = Math.min((width - 32) / extent[0], (height - 32) / extent[1]);
    size = { width, height, side };
    draw();
  }

  function drawPoint(i, factor, outline) {
    const [x, y] = toScreen(points[i]);
    const path = paths.get(markers[i].shape);
    const scale = factor * (points.length > 2000 ? 0.5 : 0.7);
    context.save();
    context.translate(x, y);
    context.scale(scale, scale);
    context.fillStyle = markers[i].color;
    if (outline) {
      context.lineWidth = 5;
      context.strokeStyle = outline;
      context.stroke(path);
    }
    context.fill(path);
    context.restore();
  }

  function draw() {
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, size.width, size.height + BUTTON_HEIGHT);
    context.globalAlpha = 0.12;
    points.forEach((point, i) => point && !shown.has(i) && drawPoint(i, 0.7));
    context.globalAlpha = 0.85;
    points.forEach((point, i) => point && shown.has(i) && drawPoint(i, 1));
    context.globalAlpha = 1;
    if (selected !== null && points[selected]) drawNeighbors(style.color);
    if (hovered !== null) drawPoint(hovered, 1.5, style.color);
  }

  function drawNeighbors(ink) {
    context.strokeStyle = ink;
    context.lineWidth = 1;
    for (const i of neighbors.filter((i) => points[i])) {
      context.beginPath();
      context.moveTo(...toScreen(points[selected]));
      context.lineTo(...toScreen(points[i]));
      context.stroke();
      drawPoint(i, 1.3, ink);
    }
    drawPoint(selected, 2, ink);
  }

  function pointAt(event, reach) {
    const box = canvas.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let smallest = reach * reach;
    for (const i of shown) {
      if (!points[i]) continue;
      const [x, y] = toScreen(points[i]);
      const squared = (x - left) ** 2 + (y - top) ** 2;
      if (squared < smallest) [best, smallest] = [i, squared];
    }
    return best;
  }

  function hover(i) {
    if (i === hovered) return;
    hovered = i;
    canvas.style.cursor = i === null ? "grab" : "pointer";
    onHover(i, ...(i === null ? [0, 0] : toScreen(points[i])));
    draw();
  }

  function zoomBy(factor, event) {
    hover(null);
    const zoom = Math.min(Math.max(view.zoom * factor, 1), 60);
    if (event) {
      // The point under the pointer does not move.
      const box = canvas.getBoundingClientRect();
      const dx = (event.clientX - box.left - size.width / 2) / size.side;
      const dy = (event.clientY - box.top - size.height / 2) / size.side;
      view.x += dx / view.zoom - dx / zoom;
      view.y -= dy / view.zoom - dy / zoom;
    }
    view.zoom = zoom;
    if (factor === 0 || zoom === 1) Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 });
    canvas.style.touchAction = view.zoom > 1 ? "none" : "pan-y";
    draw();
  }

  /** Return the midpoint of the pointers that are down, and the distance between them. */
  function gesture() {
    const [first, second = first] = pointers.values();
    return {
      clientX: (first.clientX + second.clientX) / 2,
      clientY: (first.clientY + second.clientY) / 2,
      distance: Math.hypot(first.clientX - second.clientX, first.clientY - second.clientY),
    };
  }

  function press(moved) {
    const { clientX: x, clientY: y, distance } = gesture();
    pressed = { x, y, startX: x, startY: y, distance, moved };
  }

  function release(event) {
    if (!pointers.delete(event.pointerId)) return;
    if (pointers.size) press(true);
    else pressed = null;
  }

  function drag(event) {
    view.x -= (event.clientX - pressed.x) / (size.side * view.zoom);
    view.y += (event.clientY - pressed.y) / (size.side * view.zoom);
    Object.assign(pressed, { x: event.clientX, y: event.clientY });
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointers.size === 2) return;
    pointers.set(event.pointerId, event);
    press(pointers.size === 2);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pressed) {
      hover(pointAt(event, 14));
      return;
    }
    if (!pointers.has(event.pointerId)) return;
    pointers.set(event.pointerId, event);
    const now = gesture();
    pressed.moved ||= Math.hypot(now.clientX - pressed.startX, now.clientY - pressed.startY) > 5;
    if (!pressed.moved) return;
    hover(null);
    drag(now);
    if (pressed.distance && now.distance) zoomBy(now.distance / pressed.distance, now);
    pressed.distance = now.distance;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const isTap = !pressed.moved;
    release(event);
    if (!isTap) return;
    const isMouse = event.pointerType === "mouse";
    const i = pointAt(event, isMouse ? 14 : 24);
    const isOpened = i !== null && (isMouse || i === hovered);
    hover(i);
    if (isOpened) onOpen(i);
  });
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("lostpointercapture", release);
  for (const kind of ["touchstart", "touchmove"]) {
    // Scrolling the page with two fingers would end the gesture.
    canvas.addEventListener(
      kind,
      (event) => event.touches.length > 1 && event.cancelable && event.preventDefault(),
      { passive: false },
    );
  }
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") hover(null);
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoomBy(Math.exp(-event.deltaY / 400), event);
    },
    { passive: false },
  );

  return {
    resize,
    zoomBy,
    show(indices) {
      shown = new Set(indices);
      hover(null);
      draw();
    },
    select(i, neighborsOfIt) {
      [selected, neighbors] = [i, neighborsOfIt];
      draw();
    },
  };
}
