// The conversation as it stood when the turn was asked.
function utterance(who, text, attributes = {}) {
  return make("div", { class: `utterance ${who.toLowerCase()}` }, make("dt", {}, who), said("dd", text, attributes));
}

function conversation(index, row, page) {
  const turn = page.turns[index.ids[row]];
  const earlier = turn.history.flatMap((id) => {
    const [query, response] = page.exchanges[id];
    return [query && utterance("User", query), response && utterance("System", response)];
  });
  const query = index.queries[row];
  const now = query ? utterance("User", query, { class: "now" }) : null;
  const place = earlier.length ? null : make("p", { class: "muted" }, "The conversation begins with this turn.");
  return make(
    "section",
    {},
    make("h3", {}, "Conversation so far"),
    place,
    earlier.length ? make("div", { class: "conversation", role: "region", "aria-label": "Earlier turns", tabindex: "0" }, make("dl", {}, earlier)) : null,
    now && make("dl", {}, now),
  );
}

const KINDS = { response: "Reference response", additional: "Another reference", knowledge: "Knowledge" };

function truth(turn) {
  const rows = [];
  if (turn.rewrite) rows.push(["Human rewrite", turn.rewrite]);
  for (const [kind, text] of turn.references) rows.push([KINDS[kind] ?? kind, text]);
  if (!rows.length) return null;
  const pairs = rows.map(([label, text]) => make("div", {}, make("dt", {}, label), said("dd", text)));
  return make("section", {}, make("h3", {}, "What the dataset says"), make("dl", { class: "pairs" }, pairs));
}

function facts(index, row, turn) {
  const pairs = index.slicings.filter((slicing) => slicing.labels[row] != null).map((slicing) => [slicing.title, labelsOf(slicing, row).join(", ")]);
  if (turn.topic) pairs.unshift(["Topic", turn.topic]);
  return make("dl", { class: "facts" }, pairs.map(([label, text]) => make("div", {}, make("dt", {}, label), said("dd", text))));
}
