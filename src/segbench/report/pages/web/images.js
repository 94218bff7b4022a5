// The viewer of test images.

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
