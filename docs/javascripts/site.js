// On a phone a table of four columns or more is read row by row (site.css), each cell under its column's name.
for (const table of document.querySelectorAll(".md-typeset table")) {
  const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
  if (heads.length < 4) continue;
  table.dataset.byRow = ""; // no class: the theme wraps tables without one, so that they scroll by themselves
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, i) => { cell.dataset.head = heads[i]; });
  }
}
