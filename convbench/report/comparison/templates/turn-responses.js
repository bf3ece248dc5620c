// Responses side by side; words that the other text lacks are marked.
const AGAINST = [
  ["other", "the other response"],
  ["reference", "the reference response"],
  ["nothing", "nothing"],
];

function responseText(response, system, other) {
  if (!system) return make("p", { class: "muted" }, "This run lacks the turn.");
  const declined = system.abstained ? make("p", {}, make("span", { class: "badge" }, "declined to answer")) : null;
  if (response === null) return [declined, make("p", { class: "muted" }, "No response: this system only retrieves.")];
  if (response === "") return [declined, make("p", { class: "muted" }, "The response is empty.")];
  return [declined, said("p", other == null ? response : markedText(response, other), { class: "response" })];
}

function comparedWith(against, place, responses, turn) {
  if (against === "other") return responses[1 - place];
  if (against === "reference") return turn.references.find(([kind]) => kind === "response")?.[1] ?? null;
  return null;
}
