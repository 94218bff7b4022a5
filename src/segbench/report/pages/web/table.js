// The table: sorting, filtering, and the choices of the class tables beside it.

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
