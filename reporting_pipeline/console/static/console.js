// Progress that moves, and a preview that follows the form. Every page works without this script.
const SLOWEST = 15000;

/** What a node is among its neighbours, so that it is found again in a fresh copy. */
function sign(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
  return [node.nodeName, node.id, node.className, ...["name", "action", "href", "src"].map((one) => node.getAttribute(one))].join("|");
}

/** Pairs of children that stand in both, in their order: as many as can be, elements before mere text. */
function paired(were, are) {
  const worth = (node) => (node.nodeType === Node.ELEMENT_NODE ? 1000 : 1);
  const [old, fresh] = [were.map(sign), are.map(sign)];
  const best = Array.from({ length: old.length + 1 }, () => new Array(fresh.length + 1).fill(0));
  for (let i = old.length - 1; i >= 0; i--) for (let j = fresh.length - 1; j >= 0; j--) {
    best[i][j] = old[i] === fresh[j] ? best[i + 1][j + 1] + worth(were[i]) : Math.max(best[i + 1][j], best[i][j + 1]);
  }
  const pairs = new Map();
  for (let i = 0, j = 0; i < old.length && j < fresh.length;) {
    if (old[i] === fresh[j]) pairs.set(are[j++], were[i++]);
    else if (best[i + 1][j] >= best[i][j + 1]) i++;
    else j++;
  }
  return pairs;
}

/** Make `part` say what `fresh` says by what differs alone: focus, what is unfolded and what somebody writes stay. */
function settle(part, fresh) {
  const [were, are] = [[...part.childNodes], [...fresh.childNodes]];
  const pairs = paired(were, are);
  const kept = new Set(pairs.values());
  were.filter((node) => !kept.has(node)).forEach((node) => node.remove());
  let place = part.firstChild;
  for (const node of are) {
    const standing = pairs.get(node);
    if (!standing) { part.insertBefore(node, place); continue; }
    place = standing.nextSibling;
    if (standing.nodeType !== Node.ELEMENT_NODE) { if (standing.data !== node.data) standing.data = node.data; continue; }
    for (const { name, value } of node.attributes) if (standing.getAttribute(name) !== value) standing.setAttribute(name, value);
    for (const { name } of [...standing.attributes]) if (name !== "open" && !node.hasAttribute(name)) standing.removeAttribute(name);
    settle(standing, node);
  }
}

/** Bring a part of the page to what a fresh copy says. */
async function renew(part) {
  try {
    const headers = { accept: "text/html", "x-renews-itself": "1" }; // nobody's doing: the session may end
    const answer = await fetch(location.href, { headers, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
    if (!fresh) return;
    settle(part, fresh);
    part.dataset.live = fresh.dataset.live || "";
    part.dataset.watch = fresh.dataset.watch || "";
    const said = fresh.dataset.said || "";
    const region = document.getElementById("status");
    if (region && said && region.textContent !== said) region.textContent = said;
  } catch { /* away for a moment: ask again */ }
}

/** Ask again and again, more and more seldom, until nothing is under way. */
function poll(part, wait = 2000) {
  if (!part.dataset.live) return;
  setTimeout(async () => {
    await renew(part);
    poll(part, Math.min(wait * 1.25, SLOWEST));
  }, wait);
}

/** Renew a part marked data-live whenever the server says that what it shows has moved. */
function follow(part) {
  if (!part.dataset.live) return;
  if (!part.dataset.watch || !("EventSource" in window)) { poll(part); return; }
  let source, watched;
  const open = () => {
    if (!part.dataset.live || document.hidden) return; // a browser has few connections to one host
    watched = part.dataset.watch;
    source = new EventSource(watched);
    source.addEventListener("changed", async () => {
      await renew(part);
      if (part.dataset.live && part.dataset.watch === watched) return;
      source.close();
      open();
    });
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) poll(part); };
  };
  document.addEventListener("visibilitychange", () => { source?.close(); open(); });
  addEventListener("pagehide", () => source?.close());
  open();
}

/** Ask for the next dates whenever the form's schedule changes. */
function previewing(form) {
  const target = document.getElementById("preview");
  if (!target) return;
  let waiting;
  const ask = async () => {
    const answer = await asked(form.dataset.preview, form);
    if (answer && answer.ok) target.innerHTML = await answer.text();
  };
  form.addEventListener("change", () => { clearTimeout(waiting); waiting = setTimeout(ask, 250); });
}

/** What the server says of the whole form, asked at `address`; null when it is away. */
async function asked(address, form) {
  try {
    const answer = await fetch(address, {
      method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin",
    });
    const region = document.getElementById("status");
    if (answer.status === 403 && region) region.textContent = "Your session has ended; what you write here stays.";
    return answer;
  } catch { return null; }
}

/** Make the cron expression of the builder's fields as they change, and the fields of an expression that is typed. */
function building(part) {
  const form = part.closest("form");
  const field = form.elements.cron_expression;
  const told = document.getElementById("built-told");
  part.addEventListener("change", async () => {
    const answer = await asked(part.dataset.builder, form);
    if (!answer || !(answer.ok || answer.status === 422)) return;
    const text = await answer.text();
    told.textContent = answer.ok ? "" : text;
    if (!answer.ok) return;
    field.value = text;
    form.elements.built_from.value = text;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  });
  field.addEventListener("change", async () => {
    if (field.value.trim() === form.elements.built_from.value) return; // it came of these fields
    const answer = await asked(part.dataset.fields, form);
    if (!answer || !answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const standing = [...part.querySelectorAll("input")]; // each stays where it is, with the focus
    fresh.querySelectorAll("input").forEach((one, place) => {
      standing[place].value = one.value;
      standing[place].checked = one.checked;
    });
    told.textContent = fresh.getElementById("built-told").textContent;
  });
}

/** Say of recipients as they are typed whether they may get it. */
function checking(field) {
  const target = document.getElementById("recipients-checked");
  let waiting;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const answer = await asked(field.dataset.checked, field.form);
      if (answer && answer.ok) target.innerHTML = await answer.text();
    }, 500);
  });
}

/** Fields that another choice makes meaningless are hidden; without script they are just shown. */
function choosing(form) {
  const show = () => {
    for (const part of form.querySelectorAll("[data-only]")) {
      const [name, values] = part.dataset.only.split("=");
      const chosen = new FormData(form).get(name);
      part.hidden = !values.split(",").includes(chosen);
    }
  };
  form.addEventListener("change", show);
  show();
}

document.querySelectorAll("[data-live]").forEach((part) => follow(part));
document.querySelectorAll("form[data-preview]").forEach(previewing);
document.querySelectorAll("[data-builder]").forEach(building);
document.querySelectorAll("[data-checked]").forEach(checking);
document.querySelectorAll("form[data-choosing]").forEach(choosing);
document.querySelectorAll(".summary").forEach((part) => part.focus());
document.querySelectorAll("form").forEach((form) => form.addEventListener("submit", (event) => {
  if (form.dataset.sent) event.preventDefault(); // a double click is one request
  form.dataset.sent = "1";
  addEventListener("pageshow", () => { delete form.dataset.sent; }, { once: true });
}));
