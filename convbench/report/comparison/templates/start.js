// Everything begins here, when the page has been read.
function wireTheme() {
  const button = byId("theme");
  const label = () => (button.textContent = `Theme: ${document.documentElement.dataset.theme}`);
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    applyTheme(next);
    label();
  });
  label();
}

// A link to something folded unfolds it.
function unfold() {
  if (location.hash.startsWith("#turn=")) return;
  const target = byId(decoded(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  target?.scrollIntoView();
}

function tellWhatIsMissing() {
  const problem = byId("turns-problem");
  problem.textContent = "This browser cannot unpack the data of turns (it lacks DecompressionStream). Any browser of 2023 or later can.";
  problem.hidden = false;
  document.documentElement.classList.add("limited");
}

wireTheme();
wirePrint();
addEventListener("hashchange", unfold);
if (location.hash) unfold();
if (SUPPORTED) {
  wireCopies();
  enhanceTables();
  await new TurnBrowser().start();
} else tellWhatIsMissing();
document.documentElement.dataset.ready = "yes";
