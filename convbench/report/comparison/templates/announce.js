// One place where screen readers hear what a button did.
function announce(text) {
  const announcer = byId("announcer");
  announcer.textContent = text;
  announcer.classList.add("visible");
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => announcer.classList.remove("visible"), 2500);
}
