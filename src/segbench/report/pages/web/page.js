"use strict";
document.documentElement.classList.add("scripted");

document.addEventListener("DOMContentLoaded", () => {
  filterable(document.getElementById("benchmark"));
  sortable(document.getElementById("benchmark"));
  document.querySelectorAll(".wide").forEach(fitting);
  markable();
  document.querySelectorAll(".plot.named").forEach(nameEnds);
  for (const group of document.querySelectorAll(".legend, #speed-chart .plot")) rove(group);
  scatter(document.querySelector("#speed-chart .plot"));
  classesOfGroups(document.getElementById("group-classes-entry"));
  confusion(document.getElementById("confusion-entry"));
  viewer(document.getElementById("viewer"));
  document.querySelectorAll("main :is(h2, h3)[id]").forEach(linked);
});

function dataOf(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

// What a reader chose stands in the address, so that a link shows it again. An empty value: nothing chosen.
function remember(key, value) {
  const query = new URLSearchParams(location.search);
  query.set(key, value);
  if (value === "") query.delete(key);
  const search = query.toString();
  try {
    history.replaceState(null, "", `${location.pathname}${search && `?${search}`}${location.hash}`);
  } catch {
    // inside another page, as MLflow shows it, a page may not change its address
  }
}

function remembered(key) {
  return new URLSearchParams(location.search).get(key) ?? "";
}

// A heading's own link, to copy. Beside a part's first heading, it leads to the part, as the links above the page do.
function linked(heading) {
  const link = document.createElement("a");
  link.className = "permalink";
  link.href = `#${(heading.localName === "h2" && heading.closest("section").id) || heading.id}`;
  link.textContent = "#";
  link.setAttribute("aria-label", "Link to this part");
  heading.before(link);
}
