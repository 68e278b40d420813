"use strict";

// Sorting: a click on a column's head; numbers start with the largest, names with the first. Empty cells stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.classList.contains("no-sort")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const isNumber = head.classList.contains("number");
      const first = isNumber ? "descending" : "ascending";
      const second = isNumber ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      sortRows(table.tBodies[0], column, isNumber, order === "ascending" ? 1 : -1);
    });
  });
}

function sortRows(body, column, isNumber, sign) {
  const valueOf = (row) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent.trim();
    return text === "" ? null : isNumber ? Number(text) : text;
  };
  const rows = [...body.rows].map((row) => ({ row, value: valueOf(row) }));
  const compare = (a, b) => (isNumber ? a - b : a.localeCompare(b));
  rows.sort((a, b) => {
    if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
    return sign * compare(a.value, b.value);
  });
  body.append(...rows.map((item) => item.row));
}

// Filtering: an item stays when its text has every word that was typed, whatever the case.
for (const input of document.querySelectorAll("input[data-filter]")) {
  const items = [...document.querySelector(input.dataset.filter).querySelectorAll("[data-item]")];
  const texts = items.map((item) => item.textContent.toLowerCase());
  const output = input.closest(".tools").querySelector("output");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    items.forEach((item, index) => {
      item.hidden = !words.every((word) => texts[index].includes(word));
      shown += item.hidden ? 0 : 1;
    });
    output.textContent = words.length ? `${shown} of ${items.length}` : "";
  });
  input.closest(".tools").hidden = false;
}

// One voice at a time.
document.addEventListener(
  "play",
  (event) => {
    for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
  },
  true,
);
