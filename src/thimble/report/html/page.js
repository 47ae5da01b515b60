"use strict";
/* Tables sort by a click (or Enter) on a head: by data-v where a cell has it, else by its text.
   A third click gives the given order back. */
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (!body) continue;
  const given = [...body.rows];
  for (const head of table.querySelectorAll("th[data-sort]")) {
    const key = (row) => {
      const cell = row.cells[head.cellIndex];
      if (!cell) return null;
      if (cell.dataset.v === undefined) return cell.textContent.trim() || null;
      return cell.dataset.v === "" ? null : Number(cell.dataset.v);
    };
    const sort = () => {
      const now = head.getAttribute("aria-sort");
      const first = head.classList.contains("l") ? "ascending" : "descending";
      const second = first === "ascending" ? "descending" : "ascending";
      const next = now === first ? second : now === second ? null : first;
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      table.classList.toggle("sorted", next !== null);
      let rows = given;
      if (next !== null) {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        rows = [...given].sort((p, q) => {
          const x = key(p), y = key(q);
          if (x === null || y === null) return (x === null) - (y === null);
          return sign * (typeof x === "number" && typeof y === "number" ? x - y
            : String(x).localeCompare(String(y), "en", { numeric: true }));
        });
      }
      body.append(...rows);
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
    });
  }
}
/* In the frame of a notebook a link to a place on this page would open the notebook's own page. */
if (document.URL.startsWith("about:")) {
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      location.hash = link.getAttribute("href");
    });
  }
}
