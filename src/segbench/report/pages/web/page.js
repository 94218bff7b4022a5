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
