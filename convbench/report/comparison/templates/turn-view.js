// One turn, opened: the conversation, and both chosen systems side by side.
function turnHeader(index, row, position) {
  const step = (name, label, key, disabled) => make("button", { type: "button", "data-step": name, disabled, "aria-keyshortcuts": key }, label);
  return make(
    "header",
    { class: "turn-header" },
    make("h2", { id: "turn-title", tabindex: "-1" }, "Turn ", said("span", index.ids[row])),
    make("span", { class: "muted" }, position.label),
    make("div", { class: "steps" }, step("before", "Previous", "k", !position.before), step("after", "Next", "j", !position.after), step("close", "Close", "Escape", false)),
  );
}

function measures(index, choice, row) {
  const body = index.measures.map((measure, number) => {
    const chosen = { ...choice, measure: number };
    const values = [choice.first, choice.second].map((system) => make("td", {}, perCent(valueOf(index, chosen, system, row))));
    const direction = measure.higher ? "" : " ↓";
    return make("tr", {}, make("th", { scope: "row" }, measure.label + direction), values, make("td", {}, points(difference(index, chosen, row))));
  });
  const head = ["Measure", "A", "B", "A − B"].map((label) => make("th", { scope: "col" }, label));
  const table = make("table", {}, make("caption", {}, make("span", {}, "This turn under the declared measures, in per cent")), make("thead", {}, make("tr", {}, head)), make("tbody", {}, body));
  return make("section", {}, make("h3", {}, "Measures"), make("div", { class: "scroll", role: "region", "aria-label": "Measures of this turn", tabindex: "0" }, table));
}

// Every system under the chosen measure, so that one sees where the two stand.
function allSystems(index, choice, row) {
  const head = ["System", ...index.measures.map((measure) => measure.label)].map((label) => make("th", { scope: "col" }, label));
  const body = index.systems.map((label, system) =>
    make("tr", {}, said("th", label, { scope: "row" }), index.measures.map((_, measure) => make("td", {}, perCent(valueOf(index, { measure }, system, row))))),
  );
  const table = make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, body));
  return make("details", {}, make("summary", {}, "All systems on this turn"), make("div", { class: "scroll", role: "region", "aria-label": "All systems on this turn", tabindex: "0" }, table));
}

function systemHeading(index, choice, place) {
  const name = place === 0 ? "first" : "second";
  const select = make("select", { "data-system": name });
  fillSelect(select, index.systems.map((label, system) => [String(system), label]), String(choice[name]));
  return make("label", { class: "system-choice" }, make("span", {}, place === 0 ? "System A" : "System B"), " ", select);
}

function sides(title, headings, contents) {
  const columns = contents.map((content, place) => make("div", { class: "side", role: "group", "aria-label": headings[place] }, make("p", { class: "side-name", dir: "auto" }, headings[place]), content));
  return [make("h3", {}, title), make("div", { class: "sides" }, columns)];
}

function responsesPart(index, row, names, details) {
  const { turn, systems, responses, against } = details;
  const select = make("select", { "data-against": true });
  const hasReference = turn.references.some(([kind]) => kind === "response");
  const options = AGAINST.filter(([name]) => name !== "reference" || hasReference);
  fillSelect(select, options, options.some(([name]) => name === against) ? against : "other");
  const texts = systems.map((system, place) => responseText(responses[place], system, comparedWith(select.value, place, responses, turn)));
  const hint = make("label", { class: "against" }, "Underline words that differ from ", select);
  const [heading, columns] = sides("Responses", names, texts);
  return make("section", {}, heading, hint, columns);
}

// ``details``: page, turn, systems and responses of the two, and what responses are compared with.
function turnView(index, choice, row, position, details) {
  const names = [`A: ${index.systems[choice.first]}`, `B: ${index.systems[choice.second]}`];
  const rankings = details.systems.map((system) => ranking(details.page, details.turn, system));
  return [
    turnHeader(index, row, position),
    make(
      "div",
      { class: "turn-body" },
      facts(index, row, details.turn),
      make("div", { class: "lead" }, conversation(index, row, details.page), truth(details.turn)),
      make("div", { class: "sides choose" }, systemHeading(index, choice, 0), systemHeading(index, choice, 1)),
      measures(index, choice, row),
      allSystems(index, choice, row),
      responsesPart(index, row, names, details),
      make("section", {}, sides("Top passages", names, rankings)),
      unseenGold(details.page, details.turn, details.systems),
      make("p", { class: "muted keys" }, "Keys: j or → next, k or ← previous, Esc closes."),
    ),
  ];
}
