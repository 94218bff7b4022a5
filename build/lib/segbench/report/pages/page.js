"use strict";
document.documentElement.classList.add("scripted");

document.addEventListener("DOMContentLoaded", () => {
  sortable(document.getElementById("benchmark"));
  filterable(document.getElementById("benchmark"));
  markable();
  for (const group of document.querySelectorAll(".legend, #speed-chart .plot")) rove(group);
  scatter(document.querySelector("#speed-chart .plot"));
  classesOfGroups(document.getElementById("group-classes-entry"));
  confusion(document.getElementById("confusion-entry"));
  viewer(document.getElementById("viewer"));
});

function dataOf(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

// --- the table ---

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const opposite = { ascending: "descending", descending: "ascending" };
      const direction = before ? opposite[before] : head.dataset.first;
      const sign = direction === "ascending" ? 1 : -1;
      const isText = head.classList.contains("text");
      const keyed = [...body.rows].map((row) => [row.cells[column].dataset.order, row]);
      keyed.sort(([a], [b]) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        return sign * (isText ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
      });
      body.append(...keyed.map(([, row]) => row));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      document.getElementById("sorted").textContent = `Sorted by ${head.textContent.trim()}, ${direction}`;
    });
  });
  const intervals = document.getElementById("intervals");
  const show = () => table.classList.toggle("with-intervals", intervals.checked);
  intervals.addEventListener("change", show);
  show();
}

// Ranks, bold scores and the Pareto front are those of the entries that are shown.
function filterable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const column = (key) => heads.findIndex((head) => head.dataset.key === key);
  const [rank, score, latency, front] = ["rank", "mIoU", "latency_ms", "is_on_front"].map(column);
  const scores = heads.flatMap((head, at) => (head.classList.contains("score") ? [at] : []));
  const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("failed"));
  const value = (row, at) => (at < 0 || row.cells[at].dataset.order === "" ? NaN : Number(row.cells[at].dataset.order));
  const text = (row, at) => row.cells[at].querySelector(".value");
  const ranks = new Map(rows.map((row) => [row, rank < 0 ? "" : text(row, rank).textContent]));
  const points = [...document.querySelectorAll("#speed-chart .point")];
  const isShown = (element) => getComputedStyle(element).display !== "none";
  const isBeaten = (place, places) =>
    places.some((other) => other.score > place.score && other.latency < place.latency);

  const showInTable = (isWhole) => {
    const shown = rows.filter(isShown);
    for (const at of scores) {
      const best = Math.max(...shown.map((row) => value(row, at)).filter(Number.isFinite));
      for (const row of shown) row.cells[at].classList.toggle("best", value(row, at) === best);
    }
    const places = shown.map((row) => ({ row, score: value(row, score), latency: value(row, latency) }));
    for (const place of places) {
      if (rank >= 0 && value(place.row, rank)) {
        const better = places.filter((other) => other.score > place.score).length;
        text(place.row, rank).textContent = isWhole ? ranks.get(place.row) : better + 1;
      }
      if (front >= 0 && Number.isFinite(place.latency)) {
        const isOnFront = !isBeaten(place, places);
        text(place.row, front).textContent = isOnFront ? "yes" : "";
        place.row.cells[front].dataset.order = Number(isOnFront);
      }
    }
  };

  const showInChart = () => {
    const places = points.filter(isShown).map((point) => {
      const { score, latency } = point.dataset;
      const [left, top] = [parseFloat(point.style.left), parseFloat(point.style.top)];
      return { point, left, top, score: Number(score), latency: Number(latency) };
    });
    const corners = [];
    for (const place of places.sort((a, b) => a.latency - b.latency)) {
      const isOnFront = !isBeaten(place, places);
      place.point.classList.toggle("on-front", isOnFront);
      if (!isOnFront) continue;
      if (corners.length) corners.push([place.left, corners.at(-1)[1]]);
      corners.push([place.left, place.top]);
    }
    document.getElementById("front")?.setAttribute("points", corners.join(" "));
  };

  const filters = [...document.querySelectorAll("input[name=crf]")];
  const update = () => {
    showInTable(!filters.length || filters.find((filter) => filter.checked).value === "both");
    showInChart();
  };
  for (const filter of filters) filter.addEventListener("change", update);
  update();
}

// --- one model highlighted in all charts ---

function markable() {
  const marks = [...document.querySelectorAll("[data-model]")];
  let chosen = document.querySelector(".mark[aria-pressed=true]").dataset.model;
  const light = (model) => {
    for (const mark of marks) {
      const isLit = mark.dataset.model === model;
      if (isLit && mark.matches("g.line:not(.lit)")) mark.parentNode.append(mark);
      mark.classList.toggle("lit", isLit);
    }
  };
  for (const mark of marks) {
    mark.addEventListener("pointerenter", () => light(mark.dataset.model));
    mark.addEventListener("pointerleave", () => light(chosen));
    mark.addEventListener("focusin", () => light(mark.dataset.model));
    mark.addEventListener("focusout", () => light(chosen));
    if (mark.localName !== "button") continue;
    mark.addEventListener("click", () => {
      chosen = mark.dataset.model;
      light(chosen);
      const select = document.getElementById("confusion-entry");
      const option = select?.querySelector(`[data-entry="${chosen}"]`);
      if (option && select.selectedOptions[0].dataset.entry !== chosen) {
        select.value = option.value;
        select.dispatchEvent(new Event("change"));
      }
      for (const other of marks) {
        if (other.matches("button.mark")) other.setAttribute("aria-pressed", String(other.dataset.model === chosen));
      }
    });
  }
}

// The tab key stops once at a group of buttons; arrow keys move inside it.
function rove(group) {
  const buttons = [...group.querySelectorAll("button")];
  const shown = () => buttons.filter((button) => button.offsetParent !== null);
  const settle = (chosen) => {
    for (const button of buttons) button.tabIndex = button === chosen ? 0 : -1;
  };
  settle(shown()[0]);
  group.addEventListener("focusin", (event) => settle(event.target));
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const there = shown();
    if (!step || !there.length) return;
    event.preventDefault();
    there[(there.indexOf(event.target) + step + there.length) % there.length].focus();
  });
  for (const filter of document.querySelectorAll("input[name=crf]")) {
    filter.addEventListener("change", () => settle(shown()[0]));
  }
}

// --- accuracy against latency ---

function scatter(plot) {
  if (!plot) return;
  const points = [...plot.querySelectorAll(".point")];
  const readout = document.getElementById("speed-readout");
  for (const point of points) {
    for (const kind of ["pointerenter", "focus"]) {
      point.addEventListener(kind, () => (readout.textContent = point.getAttribute("aria-label")));
    }
  }
  const byImportance = [...points].sort(
    (a, b) => b.classList.contains("on-front") - a.classList.contains("on-front"),
  );
  // Each label goes to the first of four places where it covers no point and no other label, or stays hidden.
  const label = () => {
    const frame = plot.getBoundingClientRect();
    const visible = byImportance.filter((point) => point.offsetParent !== null);
    const taken = visible.map((point) => [point, box(point, -6)]);
    for (const point of visible) {
      const place = ["upper-left", "lower-right", "upper-right", "lower-left"].find((candidate) => {
        point.dataset.label = candidate;
        const found = box(point.firstElementChild, 1);
        const isInside = found.left >= frame.left && found.right <= frame.right + 12 && found.top >= frame.top - 8;
        return isInside && !taken.some(([owner, other]) => owner !== point && overlaps(other, found));
      });
      point.dataset.label = place ?? "none";
      if (place) taken.push([null, box(point.firstElementChild, 1)]);
    }
  };
  new ResizeObserver(label).observe(plot);
  for (const filter of document.querySelectorAll("input[name=crf]")) filter.addEventListener("change", label);
}

function box(element, margin) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return { left: left - margin, right: right + margin, top: top - margin, bottom: bottom + margin };
}

function overlaps(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

// --- classes in each group ---

function classesOfGroups(select) {
  if (!select) return;
  const entries = dataOf("group-classes-data");
  const rows = [...document.getElementById("group-classes").tBodies[0].rows];
  const show = () => {
    const { label, ious } = entries[select.value];
    document.getElementById("group-classes-label").textContent = label;
    ious.forEach((ofClass, row) => {
      const cells = rows[row].querySelectorAll("td");
      ofClass.forEach((iou, column) => {
        cells[column].className = iou === null ? "" : `q${Math.round(10 * iou)}`;
        cells[column].textContent = iou === null ? "\u2013" : (100 * iou).toFixed(1);
      });
    });
  };
  select.addEventListener("change", show);
  show();
}

// --- confusion ---

function confusion(select) {
  if (!select) return;
  const entries = dataOf("confusion-data");
  const rows = [...document.getElementById("matrix").tBodies[0].rows];
  const show = () => {
    const { label, counts } = entries[select.value];
    document.getElementById("confusion-label").textContent = label;
    counts.forEach((found, trueClass) => {
      const total = found.reduce((sum, count) => sum + count, 0);
      const cells = rows[trueClass].querySelectorAll("td");
      found.forEach((count, predicted) => {
        const share = total ? count / total : 0;
        const cell = cells[predicted];
        cell.className = `${total ? `q${Math.round(10 * share)}` : ""}${trueClass === predicted ? " diagonal" : ""}`;
        cell.textContent = share >= 0.005 ? Math.round(100 * share) : "";
      });
      cells[counts.length].textContent = total.toLocaleString("en");
    });
  };
  select.addEventListener("change", show);
  show();
}

// --- test images ---

function viewer(root) {
  if (!root) return;
  const pictures = dataOf("picture-data");
  const find = (id) => document.getElementById(id);
  const [image, wipe, stage] = [find("image"), find("wipe"), find("stage")];
  image.append(...pictures.map(({ name, score }, index) => new Option(`${index + 1}. ${name}, ${score} %`, index)));
  const draw = async (side) => {
    const [picture, layer] = [pictures[image.value], Number(find(side).value)];
    const canvas = find(`${side}-picture`);
    const { width, height, rows } = picture;
    const source = new Image();
    source.src = layer === 0 ? picture.photo : picture.sheet;
    await source.decode();
    if (picture !== pictures[image.value] || layer !== Number(find(side).value)) return;
    canvas.width = width;
    canvas.height = height;
    const tile = Math.max(0, layer - 1);
    const [left, top] = [Math.floor(tile / rows) * width, (tile % rows) * height];
    canvas.getContext("2d").drawImage(source, left, top, width, height, 0, 0, width, height);
    const name = find(side).selectedOptions[0].textContent;
    canvas.setAttribute("aria-label", `${name} of ${picture.name}`);
    find(`${side}-score`).textContent = layer > 1 ? `${picture.scores[layer - 2]} % mIoU` : "";
  };

  const fit = () => {
    const { width, height } = pictures[image.value];
    // A whole factor in the screen's own pixels, so that all pixels of a picture have the same size.
    const dots = devicePixelRatio;
    const factor = Math.floor(dots * Math.min(root.clientWidth / width, Math.max(1, (0.75 * innerHeight) / height)));
    stage.style.width = wipe.style.width = factor >= 1 ? `${(factor * width) / dots}px` : "100%";
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.classList.toggle("enlarged", factor >= 1);
  };

  const cut = () => {
    find("left-picture").style.clipPath = `inset(0 ${100 - wipe.value}% 0 0)`;
    find("edge").style.left = `${wipe.value}%`;
    wipe.setAttribute("aria-valuetext", `${wipe.value} % ${find("left").selectedOptions[0].textContent}`);
  };

  const show = () => {
    fit();
    cut();
    find("ignored").hidden = !pictures[image.value].ignored;
    // Not `disabled`: that would take the focus away, and the arrow keys with it.
    find("previous").setAttribute("aria-disabled", image.selectedIndex === 0);
    find("next").setAttribute("aria-disabled", image.selectedIndex === pictures.length - 1);
    return Promise.all([draw("left"), draw("right")]);
  };

  const move = (step) => {
    image.selectedIndex = Math.min(pictures.length - 1, Math.max(0, image.selectedIndex + step));
    show();
  };

  find("previous").addEventListener("click", () => move(-1));
  find("next").addEventListener("click", () => move(1));
  image.addEventListener("change", show);
  for (const side of ["left", "right"]) find(side).addEventListener("change", show);
  wipe.addEventListener("input", cut);
  root.addEventListener("keydown", (event) => {
    if (event.target.matches("select, input") || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    move(step);
  });
  const drag = (event) => {
    const frame = stage.getBoundingClientRect();
    wipe.value = (100 * (event.clientX - frame.left)) / frame.width;
    cut();
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => event.buttons && drag(event));
  addEventListener("resize", fit);
  show();
}
