// Small helpers for the page. Nothing here makes HTML out of text, so that no text can become a program.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element: h("p", { class: "quiet", onclick: f, "--colour": "red" }, "text", child, ...). */
export function h(tag, properties = {}, ...children) {
  const element = ["svg", "path"].includes(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Tells a screen reader. */
export function say(text) {
  $("#status").textContent = text;
}

/** Shows what went wrong in the section's own place for it; null hides it. */
export function complain(section, error) {
  const place = $("[data-problem]", section);
  place.hidden = !error;
  place.textContent = error ? error.message : "";
  if (error) place.scrollIntoView({ block: "nearest" });
}

/** Hands a blob to the browser to save. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Files that are chosen in, or dropped on, a section. */
export function takeFiles(section, take) {
  for (const input of $$("[data-file]", section)) {
    input.addEventListener("change", () => {
      if (input.files.length) take(input.files[0]);
      input.value = "";
    });
  }
  const active = () => !section.hidden;
  let depth = 0;
  const over = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("over", depth > 0 && active());
  };
  addEventListener("dragenter", () => active() && over(1));
  addEventListener("dragleave", () => active() && over(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(-depth);
    if (active() && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    if (active() && event.clipboardData?.files.length) take(event.clipboardData.files[0]);
  });
}
