// Pages of Tollgate: tables that sort, filter and page; times in the reader's zone; figures that renew themselves.
"use strict";
(() => {
  const ROWS = 25;
  const two = (n) => String(n).padStart(2, "0");

  // Times: the server says UTC; here they are the reader's, with the zone named once.
  function times(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      time.title = `${time.dateTime}`;
      time.textContent = `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
    }
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    for (const note of root.querySelectorAll(".zone")) note.textContent = `Times are in ${zone}.`;
    for (const input of root.querySelectorAll("input[data-zone]")) if (!input.value) input.placeholder = zone;
  }

  // What a cell is sorted by: its time, its number, else its words.
  function key(cell) {
    const told = cell.querySelector("[data-v]");
    if (told) return Number(told.dataset.v);
    const time = cell.querySelector("time");
    if (time) return time.dateTime;
    const text = cell.textContent.trim();
    const number = text.replace(/[$,%\s<+]/g, "").replace("−", "-");
    if (cell.classList.contains("num")) return number === "" || Number.isNaN(Number(number)) ? -Infinity : Number(number);
    return text.toLowerCase();
  }

  function table(box) {
    const table = box.querySelector("table");
    const body = table && table.tBodies[0];
    if (!body) return;
    const rows = [...body.rows];
    let wanted = "";
    let shown = ROWS;
    const pages = document.createElement("div");
    pages.className = "pages";
    pages.setAttribute("aria-live", "polite");
    const count = document.createElement("span");
    const more = document.createElement("button");
    more.type = "button";
    more.className = "quiet";
    pages.append(count, more);
    if (rows.length > ROWS) box.append(pages);

    function draw() {
      const fit = rows.filter((row) => !wanted || row.textContent.toLowerCase().includes(wanted));
      const visible = new Set(fit.slice(0, shown));
      for (const row of rows) row.hidden = !visible.has(row);
      count.textContent = `${visible.size} of ${fit.length} rows`;
      more.hidden = visible.size === fit.length;
      more.textContent = `Show ${Math.min(fit.length - visible.size, 100)} more`;
    }
    more.addEventListener("click", () => { shown += 100; draw(); });

    const filter = box.querySelector("input.filter");
    if (filter) {
      filter.hidden = false;
      filter.addEventListener("input", () => { wanted = filter.value.trim().toLowerCase(); shown = ROWS; draw(); });
    }
    if (rows.length > 1) {
      [...table.tHead.rows[0].cells].forEach((head, at) => {
        if (!head.textContent.trim() || rows[0].cells[at]?.querySelector("svg.bar, svg.spark, svg.meter")) return;
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
          const first = head.classList.contains("num") ? "descending" : "ascending";
          const other = first === "descending" ? "ascending" : "descending";
          const order = head.getAttribute("aria-sort") === first ? other : first;
          for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
          head.setAttribute("aria-sort", order);
          const sign = order === "ascending" ? 1 : -1;
          const keys = new Map(rows.map((row) => [row, key(row.cells[at])]));
          rows.sort((a, b) => {
            const [one, two] = [keys.get(a), keys.get(b)];
            return sign * (one < two ? -1 : one > two ? 1 : 0);
          });
          body.append(...rows);
          draw();
        });
      });
    }
    draw();
  }

  function ready(root) {
    times(root);
    for (const box of root.querySelectorAll("[data-table]")) table(box);
    for (const form of root.querySelectorAll("form[data-filter], form[method=get]:not([data-estimate])")) {
      // Fields that are left empty do not clutter the address.
      form.addEventListener("submit", () => {
        for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
      });
    }
    for (const input of root.querySelectorAll("input[type=file][data-into]")) {
      input.addEventListener("change", async () => {
        const into = document.getElementById(input.dataset.into);
        if (input.files[0]) into.value = await input.files[0].text();
      });
    }
  }

  // Keys: `/` goes to the search, arrows go through a table's first column.
  document.addEventListener("keydown", (event) => {
    const at = event.target;
    const types = at.matches("input, textarea, select");
    if (event.key === "/" && !types && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      document.getElementById("search")?.focus();
    }
    if (event.key === "Escape" && at.id === "search") at.blur();
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const cell = at.closest?.("tbody th, tbody td");
    if (types || !cell) return;
    let row = cell.parentElement;
    do row = event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling; while (row?.hidden);
    const link = row?.cells[cell.cellIndex]?.querySelector("a, button");
    if (link) { event.preventDefault(); link.focus(); }
  });

  // Parts that are live are asked for anew while the page is seen. A collector that is away is named, with
  // the time of what is still shown.
  const live = document.querySelectorAll("[data-live]");
  const problem = document.querySelector("[data-live-problem]");
  let since = new Date();
  async function renew() {
    if (document.hidden) return;
    asked = Date.now();
    const busy = document.activeElement?.closest("[data-live]");
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html", "x-tollgate-renews": "1" }, redirect: "error" });
      if (!answer.ok) throw new Error(`it answers ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      since = new Date();
      if (problem) problem.hidden = true;
      if (!page.querySelector("[data-live=first]") && document.querySelector("[data-live=first]")) return location.reload();
      for (const old of document.querySelectorAll("[data-live]")) {
        const fresh = page.querySelector(`[data-live="${old.dataset.live}"]`);
        if (!fresh || old === busy || fresh.textContent === old.dataset.text) continue;
        fresh.dataset.text = fresh.textContent;
        const opened = [...old.querySelectorAll("details")].map((one) => one.open);
        old.replaceWith(document.adoptNode(fresh));
        [...fresh.querySelectorAll("details")].forEach((one, at) => { one.open = opened[at] ?? false; });
        ready(fresh);
      }
    } catch (error) {
      if (!problem) return;
      problem.hidden = false;
      problem.setAttribute("role", "status");
      problem.textContent = `The collector does not answer. These figures are of ${two(since.getHours())}:${two(since.getMinutes())}:${two(since.getSeconds())}.`;
    }
  }
  // The collector says when there is something new, while the page is seen: a browser has few connections for
  // one address. Where it does not say so, the page asks by itself, and now and then all the same.
  let stream = null;
  let [heard, asked] = [0, Date.now()];
  function listen() {
    stream?.close();
    stream = null;
    if (document.hidden) return;
    stream = new EventSource("/live");
    stream.addEventListener("open", () => { heard = Date.now(); });
    stream.addEventListener("nothing", () => { heard = Date.now(); });
    stream.addEventListener("changed", () => { heard = Date.now(); renew(); });
    stream.addEventListener("error", () => { if (stream?.readyState !== EventSource.OPEN) renew(); });
  }
  if (live.length) {
    addEventListener("load", listen);
    document.addEventListener("visibilitychange", () => { listen(); renew(); });
    setInterval(() => {
      if (stream?.readyState === EventSource.CLOSED) listen();
      const [now, every] = [Date.now(), Date.now() - heard < 12_000 ? 60_000 : 15_000];
      if (now - asked >= every) renew();
    }, 5_000);
  }

  for (const part of live) part.dataset.text = part.textContent;
  ready(document);
})();
