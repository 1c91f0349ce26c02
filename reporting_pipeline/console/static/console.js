// Progress that moves, and a preview that follows the form. Every page works without this script.
const SLOWEST = 15000;

/** Replace the parts of the page marked data-live with those of a fresh copy, until nothing is under way. */
function follow(part, wait = 2000) {
  if (!part.dataset.live) return;
  setTimeout(async () => {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
      if (answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
        if (fresh) {
          if (fresh.innerHTML !== part.innerHTML) part.innerHTML = fresh.innerHTML;
          part.dataset.live = fresh.dataset.live || "";
          const said = fresh.dataset.said || "";
          const region = document.getElementById("status");
          if (region && said && region.textContent !== said) region.textContent = said;
        }
      }
    } catch { /* away for a moment: ask again, more seldom */ }
    follow(part, Math.min(wait * 1.25, SLOWEST));
  }, wait);
}

/** Ask for the next dates whenever the form's schedule changes. */
function previewing(form) {
  const target = document.getElementById("preview");
  if (!target) return;
  let waiting;
  const ask = async () => {
    const answer = await fetch(form.dataset.preview, {
      method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin",
    });
    if (answer.ok) target.innerHTML = await answer.text();
  };
  form.addEventListener("change", () => { clearTimeout(waiting); waiting = setTimeout(ask, 250); });
}

/** What the server says of the whole form, asked at `address`; null when it is away. */
async function asked(address, form) {
  try {
    return await fetch(address, {
      method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin",
    });
  } catch { return null; }
}

/** Make the cron expression of the builder's fields as they change. */
function building(part) {
  const form = part.closest("form");
  part.addEventListener("change", async () => {
    const answer = await asked(part.dataset.builder, form);
    if (!answer || !answer.ok) return;
    const field = form.elements.cron_expression;
    field.value = await answer.text();
    field.dispatchEvent(new Event("change", { bubbles: true }));
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
