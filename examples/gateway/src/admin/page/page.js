// Asks for the status once a second and shows it.

const SERIES = [
  { name: "admitted", label: "Admitted", color: "--admitted" },
  { name: "exempt", label: "Webhook, exempt", color: "--exempt" },
  { name: "window", label: "Over window limit", code: 429, color: "--window" },
  { name: "daily", label: "Over daily limit", code: 429, color: "--daily" },
  { name: "cost_exceeds_limit", label: "Cost above limit", code: 429, color: "--cost_exceeds_limit" },
  { name: "blocked", label: "Blocked", code: 403, color: "--blocked" },
  { name: "unauthenticated", label: "No known token", code: 401, color: "--unauthenticated" },
  { name: "table_full", label: "Table full", code: 503, color: "--outage" },
  { name: "clock_failed", label: "Clock failed", code: 503, color: "--outage" },
  { name: "store_failed", label: "Store failed", code: 503, color: "--outage" },
];
const EVERY_MS = 1000, STALE_MS = 3000, LOST_MS = 8000;

const $ = id => document.getElementById(id);
const csrf = document.querySelector("meta[name=csrf]").content;
const grouped = new Intl.NumberFormat("en");
const count = n => grouped.format(n);
const short = n => n >= 1e6 ? `${n / 1e6}M` : n >= 1e4 ? `${n / 1e3}k` : count(n);
const percent = (part, whole) => whole === 0 ? 0 : 100 * part / whole;

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function swatch(color) {
  const element = make("span", { class: "swatch", "aria-hidden": "true" });
  element.style.background = `var(${color})`;
  return element;
}

function span(ms) {
  const s = Math.ceil(ms / 1000);
  const two = n => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 === 0 ? `${s / 60} min` : `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

const utc = (s, from, to) => new Date(s * 1000).toISOString().slice(from, to).replace("T", " ");

function meter(used, most) {
  const share = Math.min(100, percent(used, most));
  const bar = make("i", {});
  bar.style.width = `${share}%`;
  return make("span", { class: share >= 90 ? "meter high" : "meter", "aria-hidden": "true" }, bar);
}

// The outcomes: rows are made once, so that nothing jumps.
const rows = new Map(SERIES.map(one => {
  const name = make("th", { scope: "row" }, swatch(one.color), one.label);
  if (one.code) name.append(make("span", { class: "code" }, String(one.code)));
  const [rate, total] = [make("td", { class: "number" }, "–"), make("td", { class: "number" }, "–")];
  const row = make("tr", { "data-outcome": one.name }, name, rate, total);
  $("outcomes").append(row);
  return [one.name, { row, rate, total }];
}));
const chart = makeChart($("chart"), $("tip"), $("chart-said"), SERIES, count);

function showFlow({ history, decisions }) {
  const newest = history.per_s.at(-1);
  history.outcomes.forEach((name, i) => {
    const { row, rate, total } = rows.get(name);
    rate.textContent = newest ? count(newest[i]) : "–";
    total.textContent = count(decisions[name]);
    row.classList.toggle("zero", decisions[name] === 0);
  });
  const sum = list => list.reduce((a, b) => a + b, 0);
  const passed = now => now[history.outcomes.indexOf("admitted")] + now[history.outcomes.indexOf("exempt")];
  const recent = history.per_s.slice(-10);
  const all = sum(recent.map(sum));
  const refused = percent(all - sum(recent.map(passed)), all);
  $("tile-rate").textContent = newest ? count(sum(newest)) : "–";
  $("tile-refused").textContent = all === 0 ? "–" : refused.toFixed(1);
  $("chart").setAttribute("aria-label", newest
    ? `Decisions per second over two minutes: ${count(sum(newest))} now, ${refused.toFixed(1)} percent refused`
    : "No data yet");
  chart.show(history);
}

// Rows of a table by key, kept while they last: a button that is about to be pressed stays.
function list(body, items, draw) {
  const old = new Map([...body.children].map(row => [row.dataset.key, row]));
  const fresh = items.map(item => {
    const row = old.get(item.id) ?? make("tr", { "data-key": item.id });
    draw(row, item);
    return row;
  });
  const same = fresh.length === body.children.length && fresh.every((row, i) => row === body.children[i]);
  if (!same) {
    const focused = document.activeElement;
    body.replaceChildren(...fresh);
    if (body.contains(focused)) focused.focus();
  }
  body.closest("table").classList.toggle("empty", items.length === 0);
}

function cell(row, place, attributes) {
  return row.children[place] ?? row.appendChild(make("td", attributes));
}

function drawBlocked(row, token) {
  cell(row, 0, { class: "id" }).textContent = token.id;
  cell(row, 1, { class: "id wide" }).textContent = token.user;
  cell(row, 2, { class: "number" }).textContent = span(token.blocked_ms);
  const action = cell(row, 3, { class: "number" });
  if (!action.firstChild) {
    const button = make("button", { type: "button", "aria-label": `Unblock ${token.id}` }, "Unblock");
    button.addEventListener("click", () => unblock(token.id, button));
    action.append(button);
  }
}

function drawBusy(row, token, day) {
  const api = token.kind === "api_token";
  cell(row, 0, { class: "id" }).textContent = token.id;
  cell(row, 1, { class: "wide" }).textContent = api ? "API token" : "OAuth";
  cell(row, 2, { class: "number" }).replaceChildren(`${count(token.used)} of ${count(token.limit)}`, meter(token.used, token.limit));
  cell(row, 3, { class: api && day !== null ? "number" : "number quiet" }).replaceChildren(
    ...api && day !== null ? [count(token.used_today), make("span", { class: "wide" }, ` of ${count(day)}`)] : ["not counted"]);
}

// A shared store is asked for one token at a time: nobody can list what is in it.
const NOT_SEARCHED = "Counts are in the shared store, which is not searched: what tokens used is not known here.";

function showTokens({ tokens, policy, store }) {
  if (store) for (const name of ["blocked", "busiest"]) {
    $(`${name}-none`).textContent = NOT_SEARCHED;
    $(name).closest("table").classList.add("empty");
  }
  if (!tokens) return;
  const { blocked, busiest, blocked_in_all: all } = tokens;
  $("tile-blocked").textContent = count(all);
  $("tile-blocked").classList.toggle("alarm", all > 0);
  $("blocked-note").textContent = all > blocked.length
    ? `the ${count(blocked.length)} longest of ${count(all)}`
    : policy.block_ms ? `a block lasts ${span(policy.block_ms)}` : "the policy has no block";
  $("blocked-none").hidden = all > 0;
  $("busiest-none").hidden = busiest.length > 0;
  list($("blocked"), blocked, drawBlocked);
  list($("busiest"), busiest, (row, token) => drawBusy(row, token, policy.daily_limit));
}

const CLOCK = {
  ok: ["good", "Running"], utc_unknown: ["warn", "UTC unknown"], failed: ["bad", "Failed"],
};
const CALENDAR = {
  new: ["good", "Waiting for the first request"], current: ["good", "Current"],
  due: ["good", "Ends with the next request"], held: ["warn", "Held: the clock jumped ahead"],
  behind: ["warn", "The clock is behind the day"], unknown: ["warn", "Counting 24 h without UTC"],
};

const MEANWHILE = {
  refuse: "meanwhile all are refused with 503", admit: "meanwhile all are admitted, uncounted", local: "meanwhile decided here, with a share of the limits",
};

function storeItems(item, store) {
  const day = store.day_start_utc_s === null ? "not told by the store" : utc(store.day_start_utc_s, 0, 10);
  return [
    item("Store", store.available ? ["good", "In use"] : ["bad", store.unavailable_per_mille < 1000 ? "A part cannot be used" : "Cannot be used"], ...store.error ? [store.error, MEANWHILE[store.on_failure]] : [],
      `${count(store.outages)} outages since start, ${count(store.recent_outages)} of them within a minute, ${count(store.decided_without_store)} decided without it`,
      ...store.unreadable ? [`${count(store.unreadable)} refused: their record cannot be read`] : [], ...store.warnings),
    item("Round trips", ["", count(store.round_trips)], `saved: ${count(store.refused_here)} refusals known to last, ${count(store.admitted_ahead)} permits held ahead, ${count(store.lost_permits)} of these lost`),
    item("Accounting day", ["good", "Kept in the store"], day, "in a cluster each user has their own"),
  ];
}

const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);

function showHealth({ clock, calendar, table, connections, config, failures, client_failures, state, store }) {
  const item = (name, [kind, word], ...rest) => make("div", {}, make("dt", {}, name),
    make("dd", {}, make("span", { class: `mark ${kind}` }, word), ...rest.map(part => typeof part === "string" ? make("small", {}, part) : part)));
  const usage = (name, { used, most }, note) => item(name,
    [percent(used, most) >= 90 ? "warn" : "", `${count(used)} of ${count(most)}`], meter(used, most), note);
  const day = () => calendar.day_start_utc_s === null ? "no day known yet"
    : `${utc(calendar.day_start_utc_s, 0, 10)}, ${calendar.ends_in_ms === null ? "" : `ends in ${span(calendar.ends_in_ms)}`}`;
  $("health").replaceChildren(
    item("Clock", CLOCK[clock.state], clock.utc_s === null ? "no UTC" : `${utc(clock.utc_s, 0, 19)} UTC`),
    ...store ? storeItems(item, store) : [item("Accounting day", CALENDAR[calendar.state], day(), `${count(calendar.refills)} refills since start`)],
    usage("Token rows", table.tokens, `${count(table.evicted_tokens)} idle evicted, look-ups visit at most ${count(table.longest_probe)}`),
    ...store ? [] : [usage("User rows", table.users, `${count(table.evicted_users)} unused evicted`)],
    item("Registrations refused", table.refused > 0 ? ["bad", count(table.refused)] : ["good", "None"], table.refused > 0 ? "the table was full" : "since start"),
    usage("Connections", connections, "idle ones make room for new ones"),
    ...failures ? [item("Server behind", sum(failures) > 0 ? ["warn", `${count(sum(failures))} requests failed`] : ["good", "Answers"], `${count(failures.failed)} failed, ${count(failures.timed_out)} timed out, ${count(failures.broken_off)} broken off since start`)] : [],
    item("Clients", ["good", sum(client_failures) > 0 ? `${count(sum(client_failures))} failed requests of their own` : "No faults"], `${count(client_failures.cancelled)} cancelled, ${count(client_failures.bad_head + client_failures.bad_body)} malformed, ${count(client_failures.long_body)} too long, ${count(client_failures.slow_body)} too slow since start`),
    ...state ? [item("State", state.error ? ["bad", "Cannot be written"] : ["good", "Survives a crash"], ...state.error ? [state.error] : [],
      `${state.written_ms_ago === null ? "nothing written yet" : `written ${span(state.written_ms_ago)} ago`}, ${count(state.failed)} failed since start`,
      `a crash now costs ${count(state.reserved_permits)} permits${state.unprotected_permits > 0 ? `, and gives ${count(state.unprotected_permits)} out twice` : ""}`)] : [],
    ...config ? [item("Configuration", config.error ? ["bad", "Newest file refused"] : ["good", "As the file says"], config.error ?? config.file)] : [],
  );
  $("tile-rows").textContent = percent(table.tokens.used, table.tokens.most).toFixed(1);
  $("tile-rows-note").textContent = `% of ${count(table.tokens.most)}`;
}

let heard = null, instance = null, failure = null;

function show(status) {
  // Another process answers: its page knows how to change things there.
  if (instance !== null && instance !== status.instance) return location.reload();
  instance = status.instance;
  $("about").textContent = status.upstream ? `${status.listen} → ${status.upstream}` : `${status.listen}, answering by itself`;
  $("version").textContent = `Version ${status.version}, up ${span(status.uptime_s * 1000)}.`;
  showFlow(status);
  showTokens(status);
  showHealth(status);
}

function showState() {
  const age = heard === null ? null : performance.now() - heard;
  const state = age === null ? (failure ? "lost" : "waiting") : age < STALE_MS ? "live" : age < LOST_MS ? "stale" : "lost";
  const words = { waiting: "Connecting", live: "Live", stale: `Stale, ${Math.floor(age / 1000)} s old`, lost: "Disconnected" };
  if ($("state").dataset.state !== state || state === "stale") {
    $("state").dataset.state = state;
    $("state-text").textContent = words[state];
  }
  const old = state === "stale" || state === "lost";
  $("main").classList.toggle("old", old);
  for (const button of document.querySelectorAll("#blocked button")) button.disabled = old;
  const lost = state === "lost";
  if (lost && $("banner").hidden) {
    const since = heard === null ? "" : ` since ${utc((performance.timeOrigin + heard) / 1000, 11, 19)} UTC; the numbers below are from then`;
    $("banner").textContent = `No answer from the gateway${since}. Trying again every second.`;
  }
  $("banner").hidden = !lost;
}

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/status", { signal: AbortSignal.timeout(4000), cache: "no-store" });
      if (!answer.ok) throw new Error(`answered ${answer.status}`);
      show(await answer.json());
      heard = performance.now();
      failure = null;
    } catch (error) {
      failure = error;
    }
  }
  showState();
}

function say(text) {
  $("toast").textContent = text;
  setTimeout(() => { if ($("toast").textContent === text) $("toast").textContent = ""; }, 6000);
}

function unblock(id, button) {
  const dialog = $("confirm");
  $("confirm-token").textContent = id;
  dialog.returnValue = "no";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "yes") return;
    button.disabled = true;
    try {
      const answer = await fetch("/unblock", {
        method: "POST", headers: { "content-type": "application/json", "x-csrf-token": csrf }, body: JSON.stringify({ token: id }),
      });
      const { error } = await answer.json();
      say(answer.ok ? `${id} is unblocked.` : `${id} stays blocked: ${error}.`);
    } catch {
      say(`${id}: no answer; it may still be blocked.`);
    }
    await poll();
  };
  dialog.showModal();
}

async function run() {
  await poll();
  setTimeout(run, EVERY_MS);
}
setInterval(showState, 500);
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
run();
