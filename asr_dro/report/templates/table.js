"use strict";

// Sorting of table.sortable: a click on a column's head. Numbers start with the largest, names with the first; a head's
// data-first says otherwise. A cell's data-v, where it has one, is sorted in place of its text. Empty cells stay last.
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
      const first = head.dataset.first ?? (isNumber ? "descending" : "ascending");
      const second = first === "ascending" ? "descending" : "ascending";
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

// Filtering by input[data-filter="#some-id"]: an item (data-item) of that element stays when its text, or its data-text
// where it has one, has every word that was typed, whatever the case and the accents. The event "filtered" tells the
// page's other scripts the items that stay, or null for all.
for (const input of document.querySelectorAll("input[data-filter]")) {
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const list = document.querySelector(input.dataset.filter);
  const items = [...list.querySelectorAll("[data-item]")];
  let texts = null; // made when first needed: opening the page must not wait for it
  const output = input.closest(".tools").querySelector("output");
  input.addEventListener("input", () => {
    texts ??= items.map((item) => plain(item.dataset.text ?? item.textContent));
    const words = plain(input.value).split(/\s+/).filter(Boolean);
    items.forEach((item, index) => {
      item.hidden = !words.every((word) => texts[index].includes(word));
    });
    const shown = items.filter((item) => !item.hidden);
    output.textContent = words.length ? `${shown.length} of ${items.length}` : "";
    list.dispatchEvent(new CustomEvent("filtered", { bubbles: true, detail: words.length ? shown : null }));
  });
  input.closest(".tools").hidden = false;
}
