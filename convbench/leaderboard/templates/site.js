// Tables sort by their headings and filter by the form before them. Without this script they are whole, in the order of the standings.
"use strict";

const rowsOf = (table) => [...table.tBodies].flatMap((body) => [...body.rows]);

// The place of a heading among the cells of a row: headings may span rows and columns.
function placeOf(table, heading) {
  const taken = [];
  for (const [line, row] of [...table.tHead.rows].entries()) {
    let place = 0;
    for (const cell of row.cells) {
      while (taken[line]?.[place]) place += 1;
      if (cell === heading) return place;
      for (let down = line; down < line + cell.rowSpan; down += 1) {
        taken[down] ??= [];
        for (let across = place; across < place + cell.colSpan; across += 1) taken[down][across] = true;
      }
      place += cell.colSpan;
    }
  }
  return -1;
}

const orderOf = (row, place) => row.cells[place].dataset.order ?? row.cells[place].textContent.trim();

function compared(one, other, kind) {
  if (kind === "number") return Number(one) - Number(other);
  return one.localeCompare(other, "en", { numeric: true });
}

// Each body by itself, so that what does not compete never mixes with what does; what has no value stands last both ways.
function sortBy(table, heading) {
  const first = heading.dataset.first ?? "ascending";
  const now = heading.getAttribute("aria-sort");
  const next = now === null ? first : now === "ascending" ? "descending" : "ascending";
  const place = placeOf(table, heading);
  for (const body of table.tBodies) {
    const rows = [...body.rows].map((row) => [orderOf(row, place), row]);
    rows.sort(([one], [other]) => {
      if (one === "" || other === "") return (one === "") - (other === "");
      return compared(one, other, heading.dataset.kind) * (next === "ascending" ? 1 : -1);
    });
    body.append(...rows.map(([, row]) => row));
  }
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", next);
}

function makeSortable(table) {
  for (const heading of table.tHead.querySelectorAll("th[data-kind]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    const below = heading.querySelector(".interval");
    button.append(...[...heading.childNodes].filter((node) => node !== below));
    button.addEventListener("click", () => sortBy(table, heading));
    heading.prepend(button);
  }
}

function filter(form, table) {
  const chosen = Object.fromEntries(["kind", "size", "overlap", "level"].map((name) => [name, form.elements[name].value]));
  // Who asks for systems that were trained on the test set wants to see them.
  const all = !form.elements.contaminated || form.elements.contaminated.checked || chosen.overlap === "yes";
  let shown = 0;
  let unseen = 0;
  for (const row of rowsOf(table)) {
    const fits = Object.entries(chosen).every(([name, value]) => value === "" || row.dataset[name] === value);
    const kept = all || row.dataset.section !== "contaminated";
    row.hidden = !(fits && kept);
    shown += fits && kept;
    unseen += fits && !kept;
  }
  const words = `${shown} of ${rowsOf(table).length} systems`;
  form.querySelector(".count").textContent = unseen ? `${words}; ${unseen} trained on test conversations not shown` : words;
}

function chooseColumns(form, table) {
  for (const box of form.querySelectorAll("[name=columns]")) table.classList.toggle(`hide-${box.value}`, !box.checked);
}

for (const table of document.querySelectorAll("table[data-sorts]")) makeSortable(table);
for (const form of document.querySelectorAll("[data-controls]")) {
  const table = document.getElementById(form.dataset.controls);
  const update = () => {
    filter(form, table);
    chooseColumns(form, table);
  };
  form.addEventListener("change", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update();
}
document.documentElement.dataset.ready = "yes";
