// Reads a photograph, and shows its faces on it and beside it.
import { $, $$, complain, h, save, say, takeFiles } from "./dom.js";
import { capital, card, drawPortrait, percent, placeBox, verdict } from "./faces.js";
import { abilities, ask } from "./server.js";
import { explanation } from "./explain.js";

const SHRUNK = 12e6; // pixels of a photograph that is shrunk before it is sent

let section, image, record, photograph, reading;

export function start(root) {
  section = root;
  takeFiles(section, (file) => read(file, file.name));
  for (const button of $$("[data-example]", section)) {
    button.addEventListener("click", async () => {
      try {
        const name = button.dataset.example;
        await read(await (await ask(`/static/examples/${name}`)).blob(), name);
      } catch (error) {
        complain(section, error);
      }
    });
  }
  $("[data-save-json]", section).addEventListener("click", () =>
    save(new Blob([JSON.stringify(record, null, 2)], { type: "application/json" }), `${stem()}.json`));
  $("[data-save-picture]", section).addEventListener("click", () =>
    drawn().toBlob((blob) => save(blob, `${stem()}-mien.jpg`), "image/jpeg", 0.92));
  addEventListener("resize", place);
  $("[data-back]", section).addEventListener("click", () => {
    reading?.abort();
    complain(section, null);
    restart();
    $("[data-example]", section).focus();
  });
}

function restart() {
  $("[data-result]", section).hidden = true;
  $("[data-start]", section).hidden = false;
}

const stem = () => record.source.replace(/\.[^.]*$/, "") || "picture";

async function read(blob, name) {
  reading?.abort();
  const mine = (reading = new AbortController());
  complain(section, null);
  const frame = $("[data-frame]", section);
  const picture = await show(blob, frame);
  if (mine.signal.aborted) return;
  say("Looking for faces");
  try {
    const { limits } = await abilities();
    const sent = await fitted(blob, picture, limits);
    const headers = { "Content-Type": sent.type.startsWith("image/") ? sent.type : "application/octet-stream" };
    const answer = await ask("/v1/predict", { method: "POST", body: sent, headers, signal: mine.signal });
    record = { ...(await answer.json()), source: name };
    [image, photograph] = [picture, sent];
    fill(frame);
    const note = $("[data-shrunk]", section);
    note.hidden = sent === blob;
    note.textContent = `The photograph is larger than this service takes: it was shrunk to ${record.width}×${record.height} for reading.`;
  } catch (error) {
    if (mine.signal.aborted) return;
    if (picture.naturalWidth === 0) {
      restart();
      $("[data-file]", section).focus();
    }
    complain(section, error);
    $("[data-title]", section).textContent = "Not read";
    $("[data-cards]", section).replaceChildren();
  } finally {
    if (mine === reading) frame.removeAttribute("aria-busy");
  }
}

const megabytes = (bytes) => `${(bytes / 1048576).toFixed(1)} MiB`;

/** The photograph as it is; or, where it is larger than is taken and the browser can show it, smaller. */
async function fitted(blob, picture, limits) {
  const pixels = picture.naturalWidth * picture.naturalHeight;
  if (pixels <= limits.max_pixels && blob.size <= limits.max_bytes) return blob;
  if (!pixels) throw new Error(`This file has ${megabytes(blob.size)}; pictures may have ${megabytes(limits.max_bytes)} here. Shrink it first.`);
  const scale = Math.sqrt(Math.min(1, limits.max_pixels / pixels, SHRUNK / pixels));
  const [width, height] = [picture.naturalWidth, picture.naturalHeight].map((side) => Math.max(1, Math.floor(side * scale)));
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d").drawImage(picture, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

/** Shows the picture at once, while it is being read. */
async function show(blob, frame) {
  const picture = h("img", { alt: "The photograph" });
  const url = URL.createObjectURL(blob);
  picture.src = url;
  $("[data-start]", section).hidden = true;
  $("[data-result]", section).hidden = false;
  $("[data-title]", section).textContent = "Looking for faces…";
  $("[data-title]", section).focus({ preventScroll: true }); // what was used to choose the picture is gone
  $("[data-shrunk]", section).hidden = true;
  $("[data-cards]", section).replaceChildren();
  for (const button of $$("[data-save-json], [data-save-picture]", section)) button.disabled = true;
  frame.setAttribute("aria-busy", "true");
  frame.replaceChildren(picture);
  await picture.decode().catch(() => {});
  URL.revokeObjectURL(url);
  return picture;
}

function fill(frame) {
  const { faces } = record;
  const shown = image.naturalWidth > 0;
  const scale = image.naturalWidth / record.width; // above 1 where it was shrunk before it was sent
  const title = $("[data-title]", section);
  title.textContent = faces.length === 0 ? "Nobody" : faces.length === 1 ? "One face" : `${faces.length} faces`;
  frame.classList.toggle("many", faces.length > 12);
  const boxes = faces.map((face, index) => {
    const [word, share] = verdict(face);
    const box = h("button", {
      class: "box",
      "aria-label": `Face ${index + 1}: ${word}, ${percent(share)}. Show its card`,
      onclick: () => choose(index, true),
    }, h("span", { class: "tag" }));
    return box;
  });
  if (shown) frame.append(...boxes);
  place();
  const cards = faces.map((face, index) => {
    const element = card(face, index + 1, explanation(photograph, index));
    if (shown) drawPortrait($("canvas", element), image, face.box.map((place) => place * scale));
    element.addEventListener("pointerenter", () => choose(index, false));
    return element;
  });
  if (!shown) cards.unshift(h("li", { class: "empty" }, "This browser cannot show the picture; it was read all the same."));
  if (!faces.length) {
    cards.push(h("li", { class: "empty" }, "No face was found. A face should have about 20 pixels or more, and both eyes in view."));
  }
  $("[data-cards]", section).replaceChildren(...cards);
  $("[data-save-json]", section).disabled = false;
  $("[data-save-picture]", section).disabled = !shown;
  const told = faces.map((face, index) => `Face ${index + 1}: ${verdict(face)[0]}`).slice(0, 5).join(". ");
  say(`${title.textContent}. ${told}`);
}

/** Lays the boxes on their faces; again when the picture is shown in another size. */
function place() {
  if (!record) return;
  const { faces, width, height } = record;
  const across = $("[data-frame]", section).clientWidth;
  $$(".box", section).forEach((box, index) => placeBox(box, faces[index], { width, height, across, name: index + 1 }));
}

function choose(index, go) {
  for (const [kind, elements] of [["box", $$(".box", section)], ["card", $$(".card", section)]]) {
    elements.forEach((element, number) => element.classList.toggle("chosen", number === index));
    if (go && kind === "card") {
      elements[index].focus({ preventScroll: true });
      elements[index].scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    }
  }
}

/** The picture with its boxes and words, on a canvas of its own size. */
function drawn() {
  const canvas = h("canvas", { width: record.width, height: record.height });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, record.width, record.height);
  const styles = getComputedStyle(document.documentElement);
  const size = Math.max(11, Math.round(Math.max(record.width, record.height) / 46));
  context.font = `600 ${size}px ${styles.fontFamily}`;
  context.textBaseline = "middle";
  for (const face of record.faces) {
    const [word, share] = verdict(face);
    const [x1, y1, x2, y2] = face.box;
    const fill = styles.getPropertyValue(`--${word}`).trim();
    context.lineWidth = Math.max(2, size / 6);
    context.strokeStyle = "#000";
    context.strokeRect(x1 - context.lineWidth / 2, y1 - context.lineWidth / 2, x2 - x1 + context.lineWidth, y2 - y1 + context.lineWidth);
    context.strokeStyle = fill;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const text = `${capital(word)} ${percent(share)}`;
    const [across, down] = [context.measureText(text).width + size, size * 1.7];
    const left = Math.max(0, Math.min(x1, record.width - across));
    const top = y1 >= down ? y1 - down : Math.min(y2, record.height - down);
    context.fillStyle = fill;
    context.fillRect(left, top, across, down);
    context.fillStyle = word === "sad" ? "#fff" : "#000";
    context.fillText(text, left + size / 2, top + down / 2);
  }
  return canvas;
}
