// The charts: one model highlighted in all of them, a choice of costs, and names that do not overlap.

const onFilter = (action) => {
  for (const filter of document.querySelectorAll("input[name=crf]")) filter.addEventListener("change", action);
};

const isShown = (element) => getComputedStyle(element).display !== "none";

function markable() {
  const marks = [...document.querySelectorAll("[data-model]")];
  const buttons = marks.filter((mark) => mark.matches("button.mark"));
  const nameOf = (model) => buttons.find((button) => button.dataset.model === model).dataset.name;
  const best = document.querySelector(".mark[aria-pressed=true]").dataset.model;
  let chosen = best;
  const light = (model) => {
    for (const mark of marks) {
      const isLit = mark.dataset.model === model;
      if (isLit && mark.matches("g.line:not(.lit)")) mark.parentNode.append(mark);
      mark.classList.toggle("lit", isLit);
    }
    document.dispatchEvent(new Event("lit"));
  };
  const choose = (model) => {
    chosen = model;
    light(chosen);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.model === chosen));
    const select = document.getElementById("confusion-entry");
    const option = select?.querySelector(`[data-entry="${chosen}"]`);
    if (option) {
      if (select.selectedOptions[0].dataset.entry !== chosen) select.value = option.value;
      select.dispatchEvent(new Event("change"));
    }
  };
  for (const mark of marks) {
    mark.addEventListener("pointerenter", () => light(mark.dataset.model));
    mark.addEventListener("pointerleave", () => light(chosen));
    mark.addEventListener("focusin", () => light(mark.dataset.model));
    mark.addEventListener("focusout", () => light(chosen));
    if (mark.localName !== "button") continue;
    mark.addEventListener("click", () => {
      choose(mark.dataset.model);
      remember("model", chosen === best ? "" : nameOf(chosen));
    });
  }
  const wanted = buttons.find((button) => button.dataset.name === remembered("model"));
  if (wanted) choose(wanted.dataset.model);
}

// The tab key stops once at a group of buttons; arrow keys move inside it.
function rove(group) {
  const buttons = [...group.querySelectorAll("button")];
  const shown = () => buttons.filter((button) => button.checkVisibility({ visibilityProperty: true }));
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
  const settleOnShown = () => settle(shown()[0]);
  onFilter(settleOnShown);
  group.addEventListener("moved", settleOnShown);
}

// Do it now, and whenever the plot has another size, on paper too.
function whenSized(plot, action) {
  new ResizeObserver(action).observe(plot);
  window.addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    action();
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    action();
  });
}

function svgLine(x1, y1, x2, y2) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
  return line;
}

// The chart of costs: points move to the cost that is chosen, and the front is that of what is shown.
function scatter(plot) {
  if (!plot) return;
  const costs = dataOf("speed-data");
  const points = [...plot.querySelectorAll(".point")];
  const readout = document.getElementById("speed-readout");
  const select = document.getElementById("speed-cost");
  for (const point of points) {
    for (const kind of ["pointerenter", "focus"]) {
      point.addEventListener(kind, () => (readout.textContent = point.getAttribute("aria-label")));
    }
  }
  const chosen = () => costs[select?.selectedIndex ?? 0];

  const draw = () => {
    const cost = chosen();
    const lefts = new Map(points.map((point, index) => [point.dataset.of, cost.points[index]?.left]));
    for (const point of points) {
      const left = lefts.get(point.dataset.of);
      point.hidden = left === undefined;
      if (!point.hidden) point.style.left = `${left}%`;
    }
    for (const whiskers of plot.querySelectorAll(".whiskers")) {
      const left = lefts.get(whiskers.dataset.of);
      whiskers.toggleAttribute("hidden", left === undefined);
      for (const end of ["x1", "x2"]) whiskers.firstElementChild.setAttribute(end, `${left ?? 0}%`);
    }
    for (const line of plot.querySelectorAll("line.refined")) {
      const [off, on] = [lefts.get(line.dataset.off), lefts.get(line.dataset.on)];
      line.toggleAttribute("hidden", off === undefined || on === undefined);
      line.setAttribute("x1", `${off ?? 0}%`);
      line.setAttribute("x2", `${on ?? 0}%`);
    }
    plot.querySelector(".x-axis").textContent = cost.axis;
    document.getElementById("speed-note").textContent = cost.note;
    for (const old of plot.querySelectorAll(".x-tick, .grid.across")) old.remove();
    for (const [left, text] of cost.ticks) {
      const tick = document.createElement("span");
      tick.className = "tick x-tick";
      tick.style.left = `${left}%`;
      tick.textContent = text;
      plot.querySelector("svg").before(tick);
      const line = svgLine(`${left}%`, "0", `${left}%`, "100%");
      line.setAttribute("class", "grid across");
      plot.querySelector("svg").prepend(line);
    }
    drawFront();
  };

  const drawFront = () => {
    const cost = chosen();
    const places = points.flatMap((point, index) => {
      if (!isShown(point)) return [];
      const { left, cost: value, text } = cost.points[index];
      return [{ point, left, text, cost: value, top: Number(point.dataset.top), score: Number(point.dataset.score) }];
    });
    places.sort((a, b) => a.cost - b.cost || b.score - a.score);
    const corners = [];
    for (const { point, left, top, text, ...place } of places) {
      const isOnFront = !isBeaten(place, places);
      point.classList.toggle("on-front", isOnFront);
      point.setAttribute("aria-label", `${point.dataset.says}, ${text}${isOnFront ? ", on the Pareto front" : ""}`);
      if (!isOnFront) continue;
      if (corners.length) corners.push([left, corners.at(-1)[1]]);
      corners.push([left, top]);
    }
    plot.querySelector("#front").setAttribute("points", corners.join(" "));
    label();
    plot.dispatchEvent(new Event("moved"));
  };

  const label = () => placeNames(plot, points.filter(isShown));
  onFilter(drawFront);
  if (select) {
    const wanted = costs.find((cost) => cost.name === remembered("cost"));
    if (wanted) select.value = wanted.name;
    select.addEventListener("change", () => {
      draw();
      remember("cost", select.selectedIndex ? select.value : "");
    });
  }
  draw();
  whenSized(plot, label);
}

// Beaten: something else is both better and cheaper.
function isBeaten(place, places) {
  return places.some((other) => other.score > place.score && other.cost < place.cost);
}

// Each name goes to the nearest place where it covers no point and no other name, with a line to a point further away.
function placeNames(plot, points) {
  const { width, height } = plot.getBoundingClientRect();
  const leaders = plot.querySelector(".leaders");
  leaders.replaceChildren();
  const dots = points.map((point) => {
    const [x, y] = [point.offsetLeft + point.offsetWidth / 2, point.offsetTop + point.offsetHeight / 2];
    return { point, x, y, box: { left: x - 8, right: x + 8, top: y - 8, bottom: y + 8 } };
  });
  const importance = ({ point }) => 2 * point.classList.contains("lit") + point.classList.contains("on-front");
  const names = [];
  for (const dot of [...dots].sort((a, b) => importance(b) - importance(a))) {
    const span = dot.point.firstElementChild;
    const [wide, high] = [span.offsetWidth, span.offsetHeight];
    let best = null;
    for (let reach = 10; reach < Math.max(width, height) && !(best && best.price < reach); reach += 6) {
      for (let turn = 0; turn < 16; turn += 1) {
        const angle = ((turn + 10) * Math.PI) / 8;
        const [across, down] = [Math.cos(angle), Math.sin(angle)];
        const left = dot.x + reach * across + (across > 0.3 ? 0 : across < -0.3 ? -wide : -wide / 2);
        const top = dot.y + reach * down + (down > 0.3 ? 0 : down < -0.3 ? -high : -high / 2);
        const box = { left: left - 2, right: left + wide + 2, top: top - 1, bottom: top + high + 1 };
        if (box.left < 0 || box.right > width + 10 || box.top < -14 || box.bottom > height) continue;
        if (dots.some((other) => overlaps(other.box, box)) || names.some((other) => overlaps(other, box))) continue;
        const covered = dots.filter((other) => other.x > box.left && other.x < box.right).length;
        const price = reach + 3 * covered;
        if (!best || price < best.price) best = { price, reach, left, top, box };
      }
    }
    best ??= { reach: 0, left: dot.x, top: dot.y, box: null };
    span.style.setProperty("--label-left", `${best.left - dot.point.offsetLeft}px`);
    span.style.setProperty("--label-top", `${best.top - dot.point.offsetTop}px`);
    if (best.box) names.push(best.box);
    if (best.reach > 22) {
      const [x, y] = [dot.x, dot.y];
      const end = [Math.min(Math.max(x, best.left), best.left + wide), Math.min(Math.max(y, best.top), best.top + high)];
      leaders.append(svgLine(x, y, ...end));
    }
  }
}

// The names at the right ends of lines, pushed apart; those of the lines that are further down give way to the rest.
function nameEnds(plot) {
  const legend = plot.parentNode.querySelector(".legend");
  const leaders = plot.querySelector(".leaders");
  const buttons = [...legend.querySelectorAll("button")];
  plot.append(legend);
  const place = () => {
    const { width, height } = plot.getBoundingClientRect();
    leaders.replaceChildren();
    const ends = buttons.filter(isShown).map((button) => {
      const [left, top] = [Number(button.dataset.left), Number(button.dataset.top)];
      button.classList.toggle("outside", top < 0 || top > 100);
      return { button, left: (left / 100) * width, top: (Math.min(100, Math.max(0, top)) / 100) * height };
    });
    const room = Math.max(1, Math.floor(height / NAME_PX) + 1);
    const isLit = ({ button }) => button.classList.contains("lit");
    const kept = new Set([...ends].sort((a, b) => isLit(b) - isLit(a)).slice(0, room));
    for (const end of ends) end.button.classList.toggle("no-room", !kept.has(end));
    const there = ends.filter((end) => kept.has(end)).sort((a, b) => a.top - b.top);
    const tops = apart(there.map((end) => end.top), NAME_PX, height);
    there.forEach(({ button, left, top }, index) => {
      button.style.setProperty("--top", `${tops[index]}px`);
      leaders.append(svgLine(left, top, width + 15, tops[index]));
    });
  };
  onFilter(place);
  document.addEventListener("lit", () => {
    if (buttons.some((button) => button.matches(".lit.no-room"))) place();
  });
  whenSized(plot, place);
}

const NAME_PX = 15;

// Ascending places, moved as little as it takes to be `least` apart and within 0..end.
function apart(places, least, end) {
  const blocks = [];
  for (const place of places) {
    let block = { start: place, count: 1, sum: place };
    for (let before = blocks.at(-1); before && before.start + before.count * least > block.start; before = blocks.at(-1)) {
      blocks.pop();
      const sum = before.sum + block.sum - before.count * block.count * least;
      const count = before.count + block.count;
      block = { start: sum / count, count, sum };
    }
    block.start = Math.min(Math.max(0, block.start), end - (block.count - 1) * least);
    blocks.push(block);
  }
  const found = blocks.flatMap(({ start, count }) => Array.from({ length: count }, (_, index) => start + index * least));
  for (let index = found.length - 2; index >= 0; index -= 1) {
    found[index] = Math.min(found[index], found[index + 1] - least);
  }
  return found;
}

function overlaps(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
