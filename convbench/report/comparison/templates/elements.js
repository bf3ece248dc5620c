// Elements are made one by one and texts are set as texts: nothing from the data is ever read as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

// Text from the data, in whichever direction it runs.
const said = (tag, text, attributes = {}) => make(tag, { dir: "auto", ...attributes }, text);

function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, label]) => make("option", { value }, label)));
  select.value = chosen;
}

const byId = (id) => document.getElementById(id);

// A fraction in per cent, as everywhere in the report.
const perCent = (value) => (value == null ? "–" : (Math.round(1000 * value) / 10 + 0).toFixed(1));

function points(difference) {
  if (difference == null) return "–";
  const shown = perCent(Math.abs(difference));
  return shown === "0.0" ? shown : (difference > 0 ? "+" : "-") + shown;
}
