// What is shown of a face: its box, its ten people, its bars.
import { h } from "./dom.js";

export const EXPRESSIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

export const colour = (word) => `var(--${word})`;
const onColour = (word) => (["sad", "not_a_face"].includes(word) ? "#fff" : "#000");
export const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** A share as people read it; never 0% or 100% of what is merely unlikely or likely. */
export function percent(share) {
  if (share > 0 && share < 0.005) return "<1%";
  if (share >= 0.995 && share < 1) return ">99%";
  return `${Math.round(share * 100)}%`;
}

/** The word for a face, and its share: smoothed where that is known. */
export function verdict(face) {
  const unclear = face.smoothed_unclear ?? face.unclear;
  if (unclear > 0.5) return ["unclear", unclear];
  return [face.smoothed_expression ?? face.expression, face.smoothed_probability ?? face.probability];
}

// Narrower pictures (in pixels of the screen) get short tags, and a tag needs so much room above its box.
const COMPACT = 560;
const TAG = 30;

/**
 * Puts a box (an element) over a face in a picture of width × height that is shown `across` pixels wide.
 * `name` is the face's number; cameras are shown mirrored.
 */
export function placeBox(box, face, { width, height, across, name, mirrored = false }) {
  const [word, share] = verdict(face);
  let [x1, y1, x2, y2] = face.box;
  if (mirrored) [x1, x2] = [width - x2, width - x1];
  box.style.setProperty("--colour", colour(word));
  box.style.setProperty("--on-colour", onColour(word));
  box.style.left = `${(100 * x1) / width}%`;
  box.style.top = `${(100 * y1) / height}%`;
  box.style.width = `${(100 * (x2 - x1)) / width}%`;
  box.style.height = `${(100 * (y2 - y1)) / height}%`;
  box.classList.toggle("low", (y1 * across) / width < TAG);
  box.classList.toggle("right", x1 > 0.66 * width);
  const compact = across < COMPACT;
  box.classList.toggle("compact", compact);
  box.lastElementChild.textContent = compact ? `${name} ${word}` : `${name} ${word} ${percent(share)}`;
}

/** How ten people would split: whole people, by largest remainders. */
export function tenPeople(crowd) {
  const words = Object.keys(crowd);
  const shares = words.map((word) => crowd[word] * 10);
  const people = shares.map(Math.floor);
  const order = words.map((_, index) => index).sort((a, b) => shares[b] - people[b] - (shares[a] - people[a]));
  for (let left = 10 - people.reduce((sum, count) => sum + count, 0), i = 0; left > 0; left--, i++) people[order[i]]++;
  return words.map((word, index) => [word, people[index]]).filter(([, count]) => count).sort((a, b) => b[1] - a[1]);
}

const PERSON = "M12 2a5 5 0 1 1 0 10 5 5 0 0 1 0-10zM2.5 27c0-7.5 3.5-12.5 9.5-12.5s9.5 5 9.5 12.5z";

const SAID = { unknown: "could not tell", not_a_face: "would say that it is no face" };

/** The split in a sentence. */
function sentence(split) {
  if (split.length === 1) return `All ten people ${SAID[split[0][0]] ?? `would say ${split[0][0]}`}.`;
  const parts = split.map(([word, count], index) => `${count} ${SAID[word] ?? (index === 0 ? `would say ${word}` : word)}`);
  return `Of ten people, about ${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}.`;
}

function people(crowd) {
  const split = tenPeople(crowd);
  const figures = split.flatMap(([word, count]) => Array.from({ length: count }, () =>
    h("svg", { viewBox: "0 0 24 28", "--colour": colour(word) }, h("path", { d: PERSON }))));
  return h("div", { class: "people" }, h("div", { class: "row", "aria-hidden": "true" }, ...figures), h("p", {}, sentence(split)));
}

/** A table of shares as bars; update(shares) changes it in place. */
export function bars(shares, caption) {
  const rows = {};
  const table = h("table", { class: "bars" }, h("caption", { class: "hidden" }, caption), h("tbody", {},
    ...Object.keys(shares).map((word) => {
      const bar = h("i", { "--colour": colour(word) });
      const value = h("td", { class: "value" });
      const row = h("tr", {}, h("th", { scope: "row" }, capital(word)),
        h("td", {}, h("div", { class: "track", "aria-hidden": "true" }, bar)), value);
      rows[word] = [row, bar, value];
      return row;
    })));
  table.update = (now) => {
    const first = Object.keys(now).reduce((a, b) => (now[b] > now[a] ? b : a));
    for (const [word, share] of Object.entries(now)) {
      const [row, bar, value] = rows[word];
      row.classList.toggle("first", word === first);
      bar.style.width = `${100 * share}%`;
      value.textContent = percent(share);
    }
  };
  table.update(shares);
  return table;
}

/** A card for one face of a photograph. */
export function card(face, number, explain) {
  const [word, share] = verdict(face);
  const unclear = word === "unclear";
  const portrait = h("canvas", { width: 128, height: 128, "aria-hidden": "true" });
  const element = h("li", { class: "card", id: `face-${number}`, tabindex: "-1" },
    h("header", {}, portrait, h("div", {},
      h("h3", { class: "number" }, `Face ${number}`),
      h("p", { class: "word" }, h("span", { class: "swatch", "--colour": colour(word), "aria-hidden": "true" }), capital(word), " ",
        h("small", {}, unclear ? `${percent(share)} could not tell` : percent(share))))),
    people(face.crowd),
    bars(face.probabilities, `How likely each word is what most people would choose for face ${number}`));
  if (explain) element.append(explain);
  return element;
}

/** Draws the square around a box, and a little more, on a canvas. */
export function drawPortrait(canvas, image, [x1, y1, x2, y2]) {
  const side = 1.25 * Math.max(x2 - x1, y2 - y1);
  const [x, y] = [(x1 + x2 - side) / 2, (y1 + y2 - side) / 2];
  canvas.getContext("2d").drawImage(image, x, y, side, side, 0, 0, canvas.width, canvas.height);
}

/** A list that says which colour is which word. */
export function legend(list) {
  list.replaceChildren(...EXPRESSIONS.map((word) =>
    h("li", {}, h("span", { class: "swatch", "--colour": colour(word) }), capital(word))));
}
