// The turn browser: the form chooses, the list shows, the address opens.
class TurnBrowser {
  constructor() {
    this.form = byId("turns-choices");
    this.dialog = byId("turn");
    this.rows = [];
    this.page = 0;
    this.against = "other";
    this.latest = 0; // number of the latest listing; an earlier one that was waiting for data is dropped
  }

  async start() {
    this.wireForm();
    this.wireDialog();
    addEventListener("hashchange", () => this.follow());
    await this.openTask(this.form.elements.task.value);
    await this.follow();
  }

  // ---- choosing

  wireForm() {
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", (event) => this.changed(event.target.name));
    byId("turns-before").addEventListener("click", () => this.turnPage(-1));
    byId("turns-after").addEventListener("click", () => this.turnPage(1));
  }

  async changed(name) {
    if (name === "task") return this.openTask(this.form.elements.task.value);
    if (name === "slicing") this.offerSlices();
    if (name === "words") return this.listSoon();
    return this.list();
  }

  // Typing is over when nothing was typed for a moment.
  listSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.list(), 150);
  }

  async openTask(task) {
    const before = this.index && this.choice();
    const names = before && [this.index.systems[before.first], this.index.systems[before.second]];
    this.index = await block(`turns-${task}-index`);
    this.texts = null;
    this.form.elements.task.value = task;
    this.offer(names);
    await this.list();
  }

  // Options of a task; systems that were chosen in another task stay chosen where they took part in this one.
  offer(names) {
    const { first, second, measure, outcome, slicing } = this.form.elements;
    const kept = names?.map((name) => this.index.systems.indexOf(name));
    const chosen = kept?.every((place) => place >= 0) ? kept : this.index.chosen;
    const systems = this.index.systems.map((label, place) => [String(place), label]);
    fillSelect(first, systems, String(chosen[0]));
    fillSelect(second, systems, String(chosen[1]));
    fillSelect(measure, this.index.measures.map((known, place) => [String(place), known.higher ? known.label : `${known.label} (lower is better)`]), "0");
    fillSelect(outcome, outcomes(this.index), "all");
    fillSelect(slicing, [["", "None"], ...this.index.slicings.map((known, place) => [String(place), known.title])], "");
    this.offerSlices();
  }

  offerSlices() {
    const slicing = this.index.slicings[this.form.elements.slicing.value];
    const counts = new Map();
    for (const row of slicing ? slicing.labels.keys() : []) {
      for (const label of labelsOf(slicing, row)) counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    const sorted = [...counts].sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
    fillSelect(this.form.elements.slice, [["", "All"], ...sorted.map(([label, count]) => [label, `${label} (${count})`])], "");
    this.form.elements.slice.disabled = !slicing;
  }

  choice() {
    const { first, second, measure, outcome, slicing, slice, order, words } = this.form.elements;
    return {
      first: Number(first.value),
      second: Number(second.value),
      measure: Number(measure.value),
      outcome: outcome.value,
      slicing: slicing.value,
      slice: slice.value,
      order: order.value,
      words: words.value.trim(),
    };
  }

  // ---- listing

  async list() {
    const number = ++this.latest;
    const choice = this.choice();
    const texts = choice.words ? await this.searched() : null;
    if (number !== this.latest) return;
    this.rows = chosenRows(this.index, choice, texts);
    this.page = 0;
    showList(this.index, choice, this.rows, this.page);
  }

  // What is searched, in small letters, turn by turn; made on the first search in a task.
  async searched() {
    const { index } = this;
    const responses = await block(`turns-${index.id}-responses`);
    if (index === this.index) this.texts ??= index.ids.map((id, row) => [id, index.queries[row], ...(responses[id] ?? [])].join("\n").toLowerCase());
    return this.texts;
  }

  turnPage(step) {
    this.page += step;
    showList(this.index, this.choice(), this.rows, this.page);
    byId("turns-list").scrollIntoView({ block: "nearest" });
  }

  // ---- opening a turn

  // The address says which turn is open: #turn=task:id.
  async follow() {
    const [, task, id] = /^#turn=([^:]*):(.*)$/.exec(location.hash) ?? [];
    if (task === undefined) return this.dialog.close();
    const [taskId, turnId] = [decoded(task), decoded(id)];
    const known = [...this.form.elements.task.options].some((option) => option.value === taskId);
    if (known && this.index.id !== taskId) await this.openTask(taskId);
    const row = known ? this.index.ids.indexOf(turnId) : -1;
    if (row < 0) return announce(`There is no turn ${turnId} of ${taskId} in this report`);
    return this.show(row);
  }

  async show(row) {
    const { index } = this;
    const [page, responses] = await Promise.all([block(`turns-${index.id}-page-${index.pages[row]}`), block(`turns-${index.id}-responses`)]);
    this.row = row;
    const choice = this.choice();
    const id = index.ids[row];
    const pair = [choice.first, choice.second];
    const turn = page.turns[id];
    const details = { page, turn, systems: pair.map((place) => turn.systems[place]), responses: pair.map((place) => responses[id][place]), against: this.against };
    byId("turn-content").replaceChildren(...turnView(index, choice, row, this.position(row), details));
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    for (const earlier of this.dialog.querySelectorAll(".conversation")) earlier.scrollTop = earlier.scrollHeight;
    byId("turn-title").focus({ preventScroll: true });
  }

  // Where the turn stands in the list.
  position(row) {
    const place = this.rows.indexOf(row);
    if (place < 0) return { label: "not in the list", before: false, after: false };
    return { label: `${place + 1} of ${this.rows.length}`, before: place > 0, after: place + 1 < this.rows.length };
  }

  wireDialog() {
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("click", (event) => this.clicked(event));
    this.dialog.addEventListener("change", (event) => this.changedInside(event.target));
  }

  closed() {
    if (location.hash.startsWith("#turn=")) history.replaceState(null, "", "#turns");
    const address = turnAddress(this.index.id, this.index.ids[this.row]);
    const link = [...document.querySelectorAll("#turns-list a")].find((other) => other.getAttribute("href") === address);
    (link ?? this.form.elements.words).focus();
  }

  key(event) {
    if (event.target.matches("select, input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 }[event.key];
    if (step) this.step(step);
  }

  clicked(event) {
    if (event.target === this.dialog) return this.dialog.close(); // beside the turn
    const step = event.target.closest("[data-step]")?.dataset.step;
    if (step === "close") return this.dialog.close();
    return step && this.step(step === "after" ? 1 : -1);
  }

  step(step) {
    const next = this.rows[this.rows.indexOf(this.row) + step];
    if (next === undefined || !this.rows.includes(this.row)) return;
    history.replaceState(null, "", turnAddress(this.index.id, this.index.ids[next]));
    this.show(next);
  }

  async changedInside(select) {
    if (select.dataset.against !== undefined) this.against = select.value;
    const name = select.dataset.system;
    if (name) {
      this.form.elements[name].value = select.value;
      await this.list();
    }
    await this.show(this.row);
    this.dialog.querySelector(name ? `[data-system="${name}"]` : "[data-against]").focus();
  }
}

// A part of an address; what was typed wrongly is taken as it is.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
