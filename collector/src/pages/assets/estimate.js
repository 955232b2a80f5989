// The page of estimates: counts and prices in the browser. The prompt stays here; nothing is asked for after the page
// has loaded, but the vocabulary of an encoding when exact counts are wanted.
"use strict";
(() => {
  const form = document.querySelector("form[data-estimate]");
  const state = document.getElementById("estimator-state");
  const answer = document.getElementById("answer");
  const keep = document.getElementById("keep");
  if (!form || !state || !answer) return;

  // What scripts of modules define. A name is there once its script has run.
  const bound = { estimator: () => estimator, o200k_base: () => o200k_base, cl100k_base: () => cl100k_base };
  const sizes = { o200k_base: state.getAttribute("data-size-o200k_base"), cl100k_base: state.getAttribute("data-size-cl100k_base") };
  const loaded = new Map();
  const counter = { count: (name, text) => loaded.get(name)?.count(text) };
  const field = (name) => form.elements.namedItem(name);
  const prompt = document.getElementById("prompt");
  let book = null;

  // What stands in this file itself, packed; none in a page of a collector.
  async function within(name) {
    const part = document.getElementById(`packed-${name}`);
    if (!part) return null;
    const bytes = Uint8Array.from(atob(part.textContent), (sign) => sign.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  }

  function script(address) {
    return new Promise((done, failed) => {
      const one = document.createElement("script");
      one.src = address;
      one.addEventListener("load", done);
      one.addEventListener("error", () => failed(new Error(`${address} cannot be loaded`)));
      document.head.append(one);
    });
  }

  async function load(name) {
    const own = await within(name);
    if (own) {
      await bound[name]()({ module_or_path: await own.arrayBuffer() });
    } else {
      const [binds, module] = state.getAttribute(`data-${name}`).split(" ");
      await script(binds);
      await bound[name]()({ module_or_path: module });
    }
    return bound[name]();
  }

  async function prices() {
    const found = (await within("prices")) ?? (await fetch(state.dataset.prices, { redirect: "error" }));
    const text = await found.text();
    if (!found.ok) throw new Error(`the prices were not given: ${found.status}`);
    return text;
  }

  // A message, with what stands between backticks as code.
  function said(into, text) {
    text.split("`").forEach((part, at) => {
      const piece = at % 2 ? document.createElement("code") : document.createTextNode("");
      piece.textContent = part;
      into.append(piece);
    });
    return into;
  }

  function made(name, text, classes) {
    const one = document.createElement(name);
    if (text) said(one, text);
    if (classes) one.className = classes;
    return one;
  }

  const isWhole = (text) => /^[0-9]{1,15}$/.test(text);
  function asked() {
    const plan = { models: field("models").value.split(",").map((one) => one.trim()).filter(Boolean), calls: field("calls").value };
    if (prompt.value) plan.prompt = prompt.value;
    for (const name of ["prompt_tokens", "output_tokens", "history_turns", "question_tokens"]) {
      const text = field(name).value.trim();
      if (text && !(name === "prompt_tokens" && prompt.value)) plan[name] = isWhole(text) ? Number(text) : text;
    }
    if (field("cache_share").value.trim()) plan.cache_share = field("cache_share").value.trim();
    return plan;
  }

  function table(found) {
    const box = made("div", "", "scroll");
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Models side by side");
    const table = made("table", "", "data");
    const head = table.createTHead().insertRow();
    for (const column of found.columns) {
      const cell = made("th", "", column.is_number ? "num" : "");
      cell.textContent = column.title;
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of found.rows) {
      const line = body.insertRow();
      row.forEach((text, at) => {
        const cell = made(at ? "td" : "th", "", found.columns[at].is_number ? "num" : "");
        if (!at) cell.scope = "row";
        cell.textContent = text;
        line.append(cell);
      });
    }
    box.append(table);
    return box;
  }

  function exactly(modules) {
    const offer = made("p", "", "leads");
    for (const name of modules) {
      if (!sizes[name] || loaded.has(name)) continue;
      const button = made("button", "", "quiet");
      button.type = "button";
      button.dataset.module = name;
      button.textContent = `Count exactly with ${name} (${sizes[name]})`;
      button.addEventListener("click", async () => {
        button.disabled = true;
        button.textContent = `Loading ${name} …`;
        try {
          loaded.set(name, await load(name));
          price();
          answer.focus();
        } catch (error) {
          button.replaceWith(made("span", `\`${name}\` cannot be loaded: ${error.message ?? error}`, "badge bad"));
        }
      });
      offer.append(button, " ");
    }
    return offer;
  }

  function shown(found) {
    const card = made("section", "", "card");
    const notes = made("ul", "", "note");
    notes.append(made("li", `Prices of book \`${found.planned.price_version}\`, counted and priced in this browser.`));
    for (const one of found.planned.assumptions) notes.append(made("li", one));
    for (const row of found.planned.rows) for (const note of row.notes) notes.append(made("li", `${row.model}: ${note}`));
    card.append(made("h2", "Side by side, the cheapest first"), table(found), exactly(found.modules), notes);
    answer.replaceChildren(card);
  }

  // What is kept and what a link has are numbers: the prompt is in neither. The address stays as it is, as browsers
  // ask for a page's icon anew when it changes.
  function numbers(found, plan) {
    const tokens = found.planned.rows[0]?.prompt_tokens ?? plan.prompt_tokens;
    const pairs = new URLSearchParams({ models: plan.models.join(","), prompt_tokens: tokens });
    for (const name of ["output_tokens", "calls", "cache_share", "history_turns", "question_tokens"]) {
      if (plan[name] !== undefined) pairs.set(name, plan[name]);
    }
    if (state.dataset.prices) {
      const link = made("a", "Link to these numbers", "");
      link.href = `?${pairs}`;
      const line = made("p", "", "leads");
      line.append(link);
      answer.firstElementChild.append(line);
    }
    if (!keep) return;
    for (const input of keep.querySelectorAll("input[data-of]")) input.value = pairs.get(input.dataset.of) ?? "";
    keep.hidden = false;
  }

  function price() {
    const plan = asked();
    try {
      const found = JSON.parse(book.plan(JSON.stringify(plan), BigInt(Date.now()), counter));
      shown(found);
      numbers(found, plan);
    } catch (error) {
      const problem = made("p", String(error.message ?? error), "message problem");
      problem.setAttribute("role", "alert");
      answer.replaceChildren(problem);
      if (keep) keep.hidden = true;
    }
  }

  function given() {
    field("prompt_tokens").disabled = prompt.value !== "";
  }

  async function start() {
    state.textContent = "Loading the estimator …";
    const [module, text] = await Promise.all([load("estimator"), prices()]);
    book = new module.Estimator(text);
    form.addEventListener("submit", (event) => { event.preventDefault(); price(); });
    prompt.addEventListener("input", given);
    for (const part of form.querySelectorAll("[data-with-estimator]")) part.hidden = false;
    given();
    state.textContent = state.dataset.ready;
    state.dataset.state = "ready";
  }

  start().catch((error) => {
    state.dataset.state = "failed";
    state.replaceChildren();
    said(state, `The estimator does not run in this browser: ${error.message ?? error}. Numbers of tokens are priced all the same.`);
  });
})();
