// Paper has one width. A table too wide for it is made smaller by itself; else the browser would make the whole report smaller.
const PAPER = 1030; // pixels between the margins of A4 across
const ON_PAPER = 0.74; // how wide a table is there, for each pixel that it has on the screen

function fitTables() {
  for (const part of document.querySelectorAll("details.part:not([open])")) {
    part.open = true;
    part.dataset.folded = "";
  }
  for (const table of document.querySelectorAll("[data-table] table")) {
    const width = table.scrollWidth * ON_PAPER;
    if (width > PAPER) table.style.zoom = PAPER / width;
  }
}

function unfitTables() {
  for (const table of document.querySelectorAll("[data-table] table")) table.style.zoom = "";
  for (const part of document.querySelectorAll("details[data-folded]")) {
    part.open = false;
    delete part.dataset.folded;
  }
}

function wirePrint() {
  addEventListener("beforeprint", fitTables);
  addEventListener("afterprint", unfitTables);
}
