(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const label = () => {
    button.textContent = isDark() ? "Light colours" : "Dark colours";
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();
  for (const element of [button, ...document.querySelectorAll(".scripted")]) element.hidden = false;

  const all = [...document.querySelectorAll("details")];
  const openAll = document.getElementById("open-all");
  if (openAll) {
    openAll.addEventListener("click", () => {
      const opening = openAll.textContent === "Open all";
      for (const details of all) details.open = opening;
      openAll.textContent = opening ? "Close all" : "Open all";
    });
  }

  // A link to a finding opens it, and what it stands in, and goes there with the focus.
  const show = () => {
    const target = /^#finding-[\d-]+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let at = target; at; at = at.parentElement.closest("details")) at.open = true;
    target.querySelector("summary").focus({ preventScroll: true });
    target.scrollIntoView({ block: "start" });
  };
  addEventListener("hashchange", show);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#finding-"]');
    if (!link || link.hash !== location.hash) return;
    event.preventDefault(); // it would take the focus away again
    show();
  });
  addEventListener("load", show);

  // Only summaries that can be seen: not those in a finding that is closed.
  const seen = () =>
    [...document.querySelectorAll("details.finding > summary")].filter(
      (summary) => !summary.parentElement.parentElement.closest("details:not([open])"),
    );
  const go = (step) => {
    const summaries = seen();
    if (!summaries.length) return;
    const active = document.activeElement;
    let at = summaries.indexOf(active);
    if (at < 0) {
      const before = (summary) => active.compareDocumentPosition(summary) & Node.DOCUMENT_POSITION_PRECEDING;
      const place = active && active !== document.body ? active : null;
      const passed = place ? summaries.filter((summary) => before(summary)).length : 0;
      at = step > 0 ? passed - 1 : passed;
    }
    const next = summaries[Math.max(0, Math.min(summaries.length - 1, at + step))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start" });
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const inFinding = document.activeElement && document.activeElement.matches("details.finding > summary");
    const steps = inFinding ? { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 } : { j: 1, k: -1 };
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    go(steps[event.key]);
  });

  // On paper nothing can be opened.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all.filter((details) => !details.open);
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });
})();
