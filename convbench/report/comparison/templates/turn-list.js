// The list: fifty turns at a time, each a link that opens the turn and can be sent to somebody.
const TURNS_A_PAGE = 50;

const turnAddress = (task, id) => `#turn=${encodeURIComponent(task)}:${encodeURIComponent(id)}`;

function listRow(index, choice, row) {
  const link = make("a", { href: turnAddress(index.id, index.ids[row]) }, index.ids[row]);
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, link),
    said("td", index.queries[row] || "(the system speaks first)", { class: "text" }),
    make("td", {}, perCent(valueOf(index, choice, choice.first, row))),
    make("td", {}, perCent(valueOf(index, choice, choice.second, row))),
    make("td", {}, points(difference(index, choice, row))),
  );
}

function showList(index, choice, rows, page) {
  const begin = page * TURNS_A_PAGE;
  const shown = rows.slice(begin, begin + TURNS_A_PAGE);
  byId("turns-list").tBodies[0].replaceChildren(...shown.map((row) => listRow(index, choice, row)));
  byId("turns-count").textContent = countInWords(rows.length, index.ids.length);
  byId("turns-page").textContent = rows.length ? `${begin + 1}–${begin + shown.length} of ${rows.length.toLocaleString("en")}` : "";
  byId("turns-before").disabled = page === 0;
  byId("turns-after").disabled = begin + TURNS_A_PAGE >= rows.length;
  document.querySelector("#turns .pager").hidden = rows.length <= TURNS_A_PAGE;
}

function countInWords(found, all) {
  const total = `${all.toLocaleString("en")} turns`;
  if (found === all) return `All ${total}.`;
  return found ? `${found.toLocaleString("en")} of ${total}.` : `None of ${total}. Search for other words, or choose another outcome or slice.`;
}
