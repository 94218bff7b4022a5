// The charts: one model highlighted in all of them, and labels that do not overlap.

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
