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

// What a reader chose stands in the address, so that a link shows it again. An empty value: nothing chosen.
function remember(key, value) {
  const query = new URLSearchParams(location.search);
  query.set(key, value);
  if (value === "") query.delete(key);
  const search = query.toString();
  history.replaceState(null, "", `${location.pathname}${search && `?${search}`}${location.hash}`);
}

function remembered(key) {
  return new URLSearchParams(location.search).get(key) ?? "";
}
