"use strict";
for (const table of document.querySelectorAll(".filtered table")) {
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const box = document.createElement("input");
  const found = document.createElement("output");
  box.type = "search";
  box.placeholder = "Search: rows that hold all words";
  box.setAttribute("aria-label", box.placeholder);
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, place) => {
      row.hidden = !words.every((word) => texts[place].includes(word));
    });
    const left = rows.filter((row) => !row.hidden).length;
    found.textContent = words.length ? `${left} of ${rows.length} rows match` : "";
  });
  const line = document.createElement("p");
  line.className = "search";
  line.append(box, found);
  table.closest(".scroll").before(line);
}
