// What one system retrieved: the top of its ranking, gold passages marked in words, and the ranks of those further down.
function passageText(page, id) {
  const [title, text] = page.passages[id] ?? ["", null];
  return [
    title ? said("span", title, { class: "title" }) : null,
    text === null ? make("span", { class: "muted" }, "The text is not at hand.") : said("span", text, { class: "snippet" }),
  ];
}

function badges(turn, system, id) {
  const grade = turn.gold[id];
  const several = Object.values(turn.gold).some((other) => other !== 1);
  return [
    grade ? make("span", { class: "badge gold" }, several ? `★ gold, grade ${grade}` : "★ gold") : null,
    system?.given.includes(id) ? make("span", { class: "badge" }, "shown to the responder") : null,
  ];
}

function rankedPassage(page, turn, system, [id, score], place) {
  return make(
    "li",
    { class: turn.gold[id] ? "gold" : null },
    make("div", { class: "place" }, make("span", { class: "rank" }, String(place + 1)), said("code", id), badges(turn, system, id), make("span", { class: "score" }, String(score))),
    passageText(page, id),
  );
}

function deeperGold(turn, system) {
  const shown = new Set(system.top.map(([id]) => id));
  return Object.keys(turn.gold)
    .filter((id) => !shown.has(id))
    .map((id) => make("li", {}, "Gold ", said("code", id), system.gold[id] ? ` at rank ${system.gold[id]}` : ` not among the ${system.depth} retrieved`));
}

function ranking(page, turn, system) {
  if (!system) return make("p", { class: "muted" }, "This run lacks the turn.");
  const parts = [];
  if (system.query) parts.push(make("details", {}, make("summary", {}, "Text sent to the retriever"), said("p", system.query, { class: "sent" })));
  if (system.top.length) parts.push(make("ol", { class: "ranking" }, system.top.map((ranked, place) => rankedPassage(page, turn, system, ranked, place))));
  else parts.push(make("p", { class: "muted" }, "Nothing was retrieved."));
  const deeper = deeperGold(turn, system);
  if (deeper.length) parts.push(make("ul", { class: "deeper" }, deeper));
  if (system.truncated.length) parts.push(make("p", { class: "muted" }, `Cut to fit: ${system.truncated.join(", ")}.`));
  return parts;
}

// Gold passages that neither ranking shows, with their texts.
function unseenGold(page, turn, systems) {
  const shown = new Set(systems.flatMap((system) => system?.top.map(([id]) => id) ?? []));
  const unseen = Object.keys(turn.gold).filter((id) => !shown.has(id));
  if (!unseen.length) return null;
  const items = unseen.map((id) => make("li", { class: "gold" }, make("div", { class: "place" }, said("code", id), badges(turn, null, id)), passageText(page, id)));
  return make("section", {}, make("h3", {}, "Gold passages that neither shows"), make("ul", { class: "ranking" }, items));
}
