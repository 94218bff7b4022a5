// The table: sorting, filtering, and the choices of the class tables beside it.

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const initial = heads.find((head) => head.hasAttribute("aria-sort"));
  const sort = (head, direction) => {
    const column = heads.indexOf(head);
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
  };
  for (const head of heads) {
    head.querySelector("button").addEventListener("click", () => {
      const opposite = { ascending: "descending", descending: "ascending" };
      sort(head, opposite[head.getAttribute("aria-sort")] ?? head.dataset.first);
      const found = head.getAttribute("aria-sort");
      remember("sort", head === initial && found === "ascending" ? "" : `${head.dataset.key}-${found}`);
    });
  }
  const [, key, direction] = remembered("sort").match(/^(\w+)-(ascending|descending)$/) ?? [];
  const wanted = heads.find((head) => head.dataset.key === key);
  if (wanted) sort(wanted, direction);
  const intervals = document.getElementById("intervals");
  const show = () => table.classList.toggle("with-intervals", intervals.checked);
  intervals.checked ||= remembered("intervals") === "all";
  intervals.addEventListener("change", () => {
    show();
    remember("intervals", intervals.checked ? "all" : "");
  });
  show();
}

// A table that is wide enough scrolls with the page, below a heading that sticks to the window.
function fitting(container) {
  const fit = () => {
    container.classList.remove("fits");
    container.classList.toggle("fits", container.scrollWidth <= container.clientWidth);
  };
  new ResizeObserver(fit).observe(container);
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
  const filters = [...document.querySelectorAll("input[name=crf]")];
  const update = () => {
    const isWhole = !filters.length || filters.find((filter) => filter.checked).value === "both";
    const shown = rows.filter(isShown);
    for (const at of scores) {
      const best = Math.max(...shown.map((row) => value(row, at)).filter(Number.isFinite));
      for (const row of shown) row.cells[at].classList.toggle("best", value(row, at) === best);
    }
    const places = shown.map((row) => ({ row, score: value(row, score), cost: value(row, latency) }));
    for (const place of places) {
      if (rank >= 0 && value(place.row, rank)) {
        const better = places.filter((other) => value(other.row, rank) && other.score > place.score).length;
        text(place.row, rank).textContent = isWhole ? ranks.get(place.row) : better + 1;
      }
      if (front >= 0 && Number.isFinite(place.cost)) {
        const isOnFront = !isBeaten(place, places);
        text(place.row, front).textContent = isOnFront ? "yes" : "";
        place.row.cells[front].dataset.order = Number(isOnFront);
      }
    }
  };
  const wanted = filters.find((filter) => filter.value === remembered("crf"));
  if (wanted) wanted.checked = true;
  for (const filter of filters) {
    filter.addEventListener("change", () => {
      update();
      remember("crf", filter === filters[0] ? "" : filter.value);
    });
  }
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
  const optionOf = (model) => select.querySelector(`[data-entry="${model}"]`) ?? select.options[0];
  select.addEventListener("change", () => {
    show();
    const own = optionOf(document.querySelector(".mark[aria-pressed=true]").dataset.model);
    remember("confusion", select.selectedOptions[0] === own ? "" : entries[select.value].label);
  });
  const wanted = entries.findIndex((entry) => entry.label === remembered("confusion"));
  if (wanted >= 0) select.value = wanted;
  show();
}
