// The viewer of test images: over the photo the label map of one layer or of two, or the pixels that are wrong.

function viewer(root) {
  if (!root) return;
  const [PHOTO, TRUTH] = [0, 1]; // The layers' first options; then come the entries.
  const HINT = "Point at a pixel, or tap it, to read its class.";
  const pictures = dataOf("picture-data");
  const find = (id) => document.getElementById(id);
  const [image, order, left, right, opacity, wipe, stage] = [
    "image", "order", "left", "right", "opacity", "wipe", "stage",
  ].map(find);
  const views = [...root.querySelectorAll("input[name=layer]")];
  const classRows = [...find("classes-shown").children];
  const classNames = classRows.map((row) => row.querySelector("span").textContent);
  const colours = classRows.map((row) => row.dataset.colour.split(",").map(Number));
  const noClass = colours.length - 1;
  const classAt = classOfColour(colours);
  const view = () => views.find((choice) => choice.checked).value;
  const layer = (select) => Number(select.value);
  const isEntry = (select) => layer(select) > TRUTH;
  const nameOf = (select) => select.selectedOptions[0].textContent;
  const scoreOf = (picture, select) => picture.scores[layer(select) - TRUTH - 1];
  const sides = () => (view() === "compare" ? [left, right] : [right]);

  const orders = {
    worst: ({ place }) => place,
    median: ({ place, places }) => Math.abs(2 * place - places - 1),
    best: ({ place }) => -place,
    model: (picture) => {
      const score = isEntry(right) ? Number(scoreOf(picture, right)) : picture.place;
      return Number.isNaN(score) ? Infinity : score;
    },
  };
  const list = () => {
    const shown = image.value;
    const key = orders[order.value];
    const isOwn = order.value === "model" && isEntry(right);
    const text = (picture) => {
      const score = isOwn ? scoreOf(picture, right) : picture.score;
      return `${picture.place}. ${picture.name}, ${score} %${picture.doubt ? ", check the label" : ""}`;
    };
    const inOrder = [...pictures.keys()].sort((a, b) => key(pictures[a]) - key(pictures[b]) || a - b);
    image.replaceChildren(...inOrder.map((index) => new Option(text(pictures[index]), index)));
    if (shown) image.value = shown;
  };

  let decoded = { url: "" };
  const load = (url) => {
    if (decoded.url !== url) {
      const source = new Image();
      source.src = url;
      decoded = { url, ready: source.decode().then(() => source) };
    }
    return decoded.ready;
  };
  const surface = (canvas, { width, height }) => {
    [canvas.width, canvas.height] = [width, height];
    return canvas.getContext("2d", { willReadFrequently: true });
  };
  // A class index for each pixel; noClass where the label map has none.
  const labelMap = async (picture, wanted) => {
    const { width, height, rows } = picture;
    const tile = wanted - TRUTH;
    const [x, y] = [Math.floor(tile / rows) * width, (tile % rows) * height];
    const context = surface(document.createElement("canvas"), picture);
    context.drawImage(await load(picture.sheet), x, y, width, height, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const colourAt = (at) => (data[4 * at] << 16) + (data[4 * at + 1] << 8) + data[4 * at + 2];
    return Uint8Array.from({ length: width * height }, (_, at) => classAt(colourAt(at)));
  };

  const paint = (canvas, picture, colourOf) => {
    const context = surface(canvas, picture);
    const drawn = context.createImageData(picture.width, picture.height);
    for (let at = 0; at < picture.width * picture.height; at++) {
      const colour = colourOf(at);
      if (colour) drawn.data.set([...colour, 255], 4 * at);
    }
    context.putImageData(drawn, 0, 0);
  };
  const errorColour = ({ width }, truth, labels) => (at) => {
    if (truth[at] === noClass) return ((at % width) + Math.floor(at / width)) % 4 < 2 ? [170, 170, 170] : null;
    return labels && labels[at] !== truth[at] ? [255, 200, 0] : null;
  };

  // What is on the screen: the picture, its truth, and the label maps of the sides, null for a photo.
  let shown = null;
  let latest = null;
  const show = async () => {
    const picture = pictures[image.value];
    const request = (latest = { picture, view: view() });
    fit();
    cut();
    find("right-name").textContent = view() === "compare" ? "Right" : "Layer";
    find("left-choice").hidden = view() !== "compare";
    find("doubt").hidden = !picture.doubt;
    find("doubt").textContent = picture.doubt;
    find("pixel").textContent = HINT;
    // Not `disabled`: that would take the focus away, and the arrow keys with it.
    find("previous").setAttribute("aria-disabled", image.selectedIndex === 0);
    find("next").setAttribute("aria-disabled", image.selectedIndex === pictures.length - 1);
    const wanted = sides().map((select) => [select, layer(select)]);
    const photo = new Image();
    photo.src = picture.photo;
    const [truth, , ...labels] = await Promise.all([
      labelMap(picture, TRUTH), photo.decode(),
      ...wanted.map(([, chosen]) => (chosen === PHOTO ? null : labelMap(picture, chosen))),
    ]);
    if (request !== latest) return;
    shown = { picture, truth, sides: wanted.map(([select], index) => ({ select, labels: labels[index] })) };
    stage.dataset.view = request.view;
    surface(find("photo"), picture).drawImage(photo, 0, 0, picture.width, picture.height);
    for (const { select, labels: ofSide } of shown.sides) {
      const canvas = find(`${select.id}-picture`);
      const isErrors = request.view === "errors";
      const colourOf = isErrors ? errorColour(picture, truth, ofSide) : (at) => ofSide && colours[ofSide[at]];
      paint(canvas, picture, colourOf);
      canvas.setAttribute("aria-label", `${isErrors ? "errors of " : ""}${nameOf(select)} of ${picture.name}`);
    }
    find("caption").textContent = `${picture.name}: ${describe(picture)}`;
    score(picture, truth);
  };
  const describe = (picture) => {
    const [first, second] = sides().map((select) => {
      return isEntry(select) ? `${nameOf(select)} (${scoreOf(picture, select)}\u00a0% mIoU)` : nameOf(select);
    });
    if (view() === "compare") return `${first} on the left, ${second} on the right.`;
    if (view() === "errors") return `errors of ${first}. Wrong pixels are yellow, pixels without a class hatched.`;
    return layer(right) === PHOTO ? "the photo." : `${first} over the photo.`;
  };
  const score = (picture, truth) => {
    const judged = shown.sides.filter(({ select }) => isEntry(select));
    const ious = judged.map(({ labels }) => classIou(truth, labels, noClass));
    for (const select of [left, right]) {
      const isJudged = judged.some((side) => side.select === select);
      find(`${select.id}-score`).textContent = isJudged ? `${nameOf(select)}: ${scoreOf(picture, select)} % mIoU` : "";
    }
    const there = new Set(truth);
    for (const { labels } of judged) for (const found of labels) there.add(found);
    classRows.forEach((row, index) => {
      row.classList.toggle("absent", !there.has(index));
      row.hidden = !there.has(index) && (index === noClass || noClass > 24);
      row.querySelectorAll("b").forEach((cell, place) => {
        const iou = index < noClass ? ious[place]?.[index] : undefined;
        cell.textContent = iou === undefined ? "" : iou === null ? "\u2013" : (100 * iou).toFixed(1);
      });
    });
  };

  const fit = () => {
    const { width, height } = pictures[image.value];
    const dots = devicePixelRatio;
    const isBeside = matchMedia("(min-width: 60rem)").matches;
    // So that the heading of the table can be seen below the viewer.
    const mostHigh = isBeside ? Math.max(200, Math.min(0.7 * innerHeight, innerHeight - 340)) : 0.7 * innerHeight;
    const mostWide = root.clientWidth - (isBeside ? 260 : 0);
    let factor = dots * Math.min(mostWide / width, mostHigh / height);
    // A whole factor on a coarse screen, so that all pixels of a small picture have the same size.
    if (dots < 2 && factor >= 3) factor = Math.floor(factor);
    stage.style.width = wipe.style.width = `${(factor * width) / dots}px`;
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.classList.toggle("enlarged", factor >= 1);
  };

  const cut = () => {
    const isCompared = view() === "compare";
    find("left-picture").style.clipPath = `inset(0 ${100 - wipe.value}% 0 0)`;
    find("right-picture").style.clipPath = isCompared ? `inset(0 0 0 ${wipe.value}%)` : "";
    find("edge").style.left = `${wipe.value}%`;
    wipe.setAttribute("aria-valuetext", `${wipe.value} % ${nameOf(left)}`);
    for (const side of ["left", "right"]) find(`${side}-picture`).style.opacity = opacity.value / 100;
    opacity.setAttribute("aria-valuetext", `${opacity.value} %`);
  };

  const name = (event) => {
    if (!shown) return;
    const { picture, truth, sides: drawn } = shown;
    const frame = stage.getBoundingClientRect();
    const inside = (share, size) => Math.min(size - 1, Math.max(0, Math.floor(share * size)));
    const x = inside((event.clientX - frame.left) / frame.width, picture.width);
    const y = inside((event.clientY - frame.top) / frame.height, picture.height);
    const maps = new Map([["truth", truth]]);
    for (const { select, labels } of drawn) if (isEntry(select)) maps.set(nameOf(select), labels);
    const named = [...maps].map(([label, labels]) => `${label}: ${classNames[labels[y * picture.width + x]]}`);
    find("pixel").textContent = named.join(", ");
  };

  // The address keeps what differs from the page as it opens.
  const keep = (key, value) => value === remembered(key) || remember(key, value);
  const save = () => {
    keep("order", order.value === "worst" ? "" : order.value);
    keep("image", image.selectedIndex ? pictures[image.value].name : "");
    keep("layer", view() === "prediction" ? "" : view());
    for (const select of [left, right]) keep(select.id, select.value === atFirst[select.id] ? "" : nameOf(select));
    keep("opacity", opacity.value === "60" ? "" : opacity.value);
  };
  const restore = () => {
    for (const select of [left, right]) {
      const option = [...select.options].find(({ textContent }) => textContent === remembered(select.id));
      if (option) select.value = option.value;
    }
    if (Object.hasOwn(orders, remembered("order"))) order.value = remembered("order");
    const chosen = views.find(({ value }) => value === remembered("layer"));
    if (chosen) chosen.checked = true;
    if (/^\d{1,3}$/.test(remembered("opacity"))) opacity.value = remembered("opacity");
    list();
    const index = pictures.findIndex((picture) => picture.name === remembered("image"));
    if (index >= 0) image.value = index;
  };
  // Show the model that a button elsewhere on the page highlights, as its paper has it.
  const follow = (button) => {
    const { model } = button.dataset;
    if (right.selectedOptions[0].dataset.entry === model) return false;
    const options = [...right.options].filter(({ dataset }) => dataset.entry === model);
    const option = options.find(({ dataset }) => dataset.paper === "yes") ?? options[0];
    if (option) right.value = option.value;
    return Boolean(option);
  };
  const changed = () => {
    list();
    save();
    show();
  };
  const move = (step) => {
    image.selectedIndex = Math.min(pictures.length - 1, Math.max(0, image.selectedIndex + step));
    save();
    show();
  };

  find("previous").addEventListener("click", () => move(-1));
  find("next").addEventListener("click", () => move(1));
  image.addEventListener("change", () => move(0));
  order.addEventListener("change", () => {
    image.replaceChildren();
    changed();
  });
  for (const control of [left, right, ...views]) control.addEventListener("change", changed);
  wipe.addEventListener("input", cut);
  opacity.addEventListener("input", cut);
  opacity.addEventListener("change", save);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-model]");
    if (button && follow(button)) changed();
  });
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
    name(event);
    if (view() !== "compare") return;
    stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => {
    name(event);
    if (event.buttons && view() === "compare") drag(event);
  });
  stage.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") find("pixel").textContent = HINT;
  });
  addEventListener("resize", fit);

  const pressed = document.querySelector("button[data-model][aria-pressed=true]");
  if (pressed) follow(pressed);
  const atFirst = { left: left.value, right: right.value };
  restore();
  show();
}

// The index of the colour that a pixel has; the nearest one where a browser blurs what scripts read from a canvas.
function classOfColour(colours) {
  const known = new Map(colours.map(([red, green, blue], index) => [(red << 16) + (green << 8) + blue, index]));
  return (number) => {
    if (!known.has(number)) {
      const [red, green, blue] = [number >> 16, (number >> 8) & 255, number & 255];
      const distances = colours.map(([r, g, b]) => (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2);
      known.set(number, distances.indexOf(Math.min(...distances)));
    }
    return known.get(number);
  };
}

// For each class, IoU over the pixels whose truth has a class; null for a class that neither label map has there.
function classIou(truth, predicted, numClasses) {
  const [inTruth, inPredicted, inBoth] = [0, 1, 2].map(() => new Array(numClasses).fill(0));
  truth.forEach((trueClass, at) => {
    if (trueClass === numClasses) return;
    inTruth[trueClass] += 1;
    inPredicted[predicted[at]] += 1;
    if (predicted[at] === trueClass) inBoth[trueClass] += 1;
  });
  return inTruth.map((count, index) => {
    const union = count + inPredicted[index] - inBoth[index];
    return union ? inBoth[index] / union : null;
  });
}
