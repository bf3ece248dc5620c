// Every table as LaTeX, Markdown and CSV, written beforehand from the same numbers.
const FORMATS = { latex: "LaTeX", markdown: "Markdown", csv: "CSV" };

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // pages that are files may lack the clipboard
  }
}

function copyBySelection(text) {
  const holder = make("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1", readonly: true });
  const focused = document.activeElement;
  holder.value = text;
  document.body.append(holder);
  holder.select();
  const copied = document.execCommand("copy");
  holder.remove();
  focused?.focus();
  return copied;
}

async function copyTable(button) {
  const texts = (await block("copies"))[button.closest("[data-table]").dataset.table];
  const format = FORMATS[button.dataset.copy];
  const copied = await toClipboard(texts[button.dataset.copy]);
  announce(copied ? `Copied as ${format}` : `This browser let nothing be copied; the folder tables/ beside this page holds the table`);
}

function wireCopies() {
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copyTable(button));
}
