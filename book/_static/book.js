// One click shows or folds all code of a page; folds open for print; tables can be scrolled by keyboard.
document.addEventListener("DOMContentLoaded", () => {
  const folds = () => document.querySelectorAll("details.above-input, details.hide");
  if (folds().length) {
    const button = document.createElement("button");
    button.className = "code-switch";
    button.type = "button";
    const name = (open) => { button.textContent = open ? "Hide all code" : "Show all code"; button.setAttribute("aria-pressed", open); };
    let open = false;
    name(open);
    button.addEventListener("click", () => {
      open = !open;
      folds().forEach((fold) => { fold.open = open; });
      name(open);
    });
    document.querySelector(".bd-article h1")?.before(button);
  }
  window.addEventListener("load", () => document.querySelectorAll(".output.text_html, .pst-scrollable-table-container, .bd-article table, .bd-article figure").forEach((box) => {
    if (box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight) return;
    box.tabIndex = 0;
    if (box.tagName !== "DIV") return;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "table, scrolls");
  }));
  const closed = [];
  window.addEventListener("beforeprint", () => document.querySelectorAll("details.fold:not([open])").forEach((fold) => { closed.push(fold); fold.open = true; }));
  window.addEventListener("afterprint", () => { closed.splice(0).forEach((fold) => { fold.open = false; }); });
});
