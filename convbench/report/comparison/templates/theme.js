// Light, dark, or as the system says. Runs before the page is drawn, so that nothing flashes.
const THEMES = ["auto", "light", "dark"];

// The page's dark colours stand in rules for prefers-color-scheme; a choice by hand switches these rules on or off.
const DARK_RULES = [...document.styleSheets]
  .flatMap((sheet) => [...sheet.cssRules])
  .filter((rule) => rule instanceof CSSMediaRule && rule.media.mediaText === "(prefers-color-scheme: dark)");

function storedTheme() {
  try {
    const stored = localStorage.getItem("convbench-theme");
    return THEMES.includes(stored) ? stored : "auto";
  } catch {
    return "auto"; // some browsers keep no storage for files
  }
}

function applyTheme(theme) {
  const media = { auto: "(prefers-color-scheme: dark)", light: "not all", dark: "all" }[theme];
  for (const rule of DARK_RULES) rule.media.mediaText = media;
  document.documentElement.style.colorScheme = theme === "auto" ? "" : theme;
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("convbench-theme", theme);
  } catch {
    // then it holds until the page is closed
  }
}

applyTheme(storedTheme());
document.documentElement.classList.add("scripted");
