// Tables stand in the page as they are; DataTables makes them sort and filter.
const ROWS_A_PAGE = 50;

async function tableLibrary() {
  const source = await inflate("library").blob();
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    const { default: DataTable } = await import(address);
    DataTable.ext.errMode = "throw"; // never a message box
    return DataTable;
  } finally {
    URL.revokeObjectURL(address);
  }
}

function enhance(DataTable, holder) {
  const table = holder.querySelector("table");
  const columns = [...table.tBodies[0].rows[0].cells];
  const rows = table.tBodies[0].rows.length;
  const enhanced = new DataTable(table, {
    autoWidth: false,
    order: [],
    orderMulti: true,
    paging: rows > ROWS_A_PAGE,
    pageLength: ROWS_A_PAGE,
    titleRow: table.tHead.rows.length - 1,
    columns: columns.map((cell) => ({ type: cell.classList.contains("number") ? "num" : "string" })),
    layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: rows > ROWS_A_PAGE ? "paging" : null },
    language: { zeroRecords: "No row holds these words.", emptyTable: "No rows." },
  });
  wireFilter(holder, enhanced, rows);
  if (rows > ROWS_A_PAGE) printWhole(enhanced);
}

function wireFilter(holder, enhanced, rows) {
  const shown = holder.querySelector(".shown");
  holder.querySelector(".filter").addEventListener("input", (event) => {
    enhanced.search(event.target.value).draw();
    const found = enhanced.rows({ search: "applied" }).count();
    shown.textContent = found === rows ? "" : `${found} of ${rows} rows`;
    if (shown.textContent) announce(shown.textContent);
  });
}

// Paper has no next page button.
function printWhole(enhanced) {
  addEventListener("beforeprint", () => enhanced.page.len(-1).draw());
  addEventListener("afterprint", () => enhanced.page.len(ROWS_A_PAGE).draw());
}

// Each table when it comes near the screen: a page with a hundred of them opens at once.
function enhanceTables() {
  let library = null;
  const near = new IntersectionObserver(
    async (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting || !target.querySelector("tbody tr")) continue;
        near.unobserve(target);
        library ??= tableLibrary();
        enhance(await library, target);
        target.classList.add("sorts");
      }
    },
    { rootMargin: "600px" },
  );
  for (const holder of document.querySelectorAll("[data-table]")) near.observe(holder);
}
