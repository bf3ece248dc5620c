// Which turns are listed, and in which order. A choice is what the form says; a row is a turn's place in the index.
const perCentGood = (index) => perCent(index.good);

function outcomes(index) {
  return [
    ["all", "All turns"],
    ["first", "A better"],
    ["second", "B better"],
    ["tie", "Tied"],
    ["first-right", `A right, B wrong (right: ${perCentGood(index)} or more)`],
    ["second-right", `B right, A wrong (right: ${perCentGood(index)} or more)`],
  ];
}

const valueOf = (index, choice, system, row) => index.values[choice.measure]?.[system]?.[row] ?? null;

// A minus B; null where either has no value.
function difference(index, choice, row) {
  const first = valueOf(index, choice, choice.first, row);
  const second = valueOf(index, choice, choice.second, row);
  return first === null || second === null ? null : first - second;
}

// How far A is ahead, whichever direction is better.
function lead(index, choice, row) {
  const found = difference(index, choice, row);
  return found === null || index.measures[choice.measure].higher ? found : -found;
}

function isRight(index, choice, system, row) {
  const value = valueOf(index, choice, system, row);
  return index.measures[choice.measure].higher ? value >= index.good : value < index.good;
}

function hasOutcome(index, choice, row) {
  if (choice.outcome === "all") return true;
  const ahead = lead(index, choice, row);
  if (ahead === null) return false;
  if (choice.outcome === "tie") return ahead === 0;
  if (choice.outcome === "first") return ahead > 0;
  if (choice.outcome === "second") return ahead < 0;
  const [right, wrong] = choice.outcome === "first-right" ? [choice.first, choice.second] : [choice.second, choice.first];
  return isRight(index, choice, right, row) && !isRight(index, choice, wrong, row);
}

// A turn may have several labels of one slicing, joined by |.
const labelsOf = (slicing, row) => slicing.labels[row]?.split("|") ?? [];

function hasSlice(index, choice, row) {
  return choice.slice === "" || labelsOf(index.slicings[choice.slicing], row).includes(choice.slice);
}

// Every word must stand somewhere in the turn's id, query or responses.
function hasWords(words, text) {
  return words.every((word) => text.includes(word));
}

const ORDERS = {
  difference: (index, choice) => (row) => Math.abs(lead(index, choice, row) ?? -1),
  first: (index, choice) => (row) => lead(index, choice, row) ?? -Infinity,
  second: (index, choice) => (row) => -(lead(index, choice, row) ?? Infinity),
};

// Rows that a choice lets pass. ``texts`` holds what is searched, in small letters; null where nothing is searched for.
function chosenRows(index, choice, texts) {
  const words = choice.words.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...index.ids.keys()].filter(
    (row) => hasSlice(index, choice, row) && hasOutcome(index, choice, row) && (texts === null || hasWords(words, texts[row])),
  );
  if (!(choice.order in ORDERS)) return rows;
  const keys = new Map(rows.map((row) => [row, ORDERS[choice.order](index, choice)(row)]));
  return rows.sort((one, other) => keys.get(other) - keys.get(one) || one - other);
}
