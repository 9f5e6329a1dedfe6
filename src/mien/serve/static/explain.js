// On click: which parts of a face the reading rests on.
import { h, say } from "./dom.js";
import { capital, percent } from "./faces.js";
import { ask } from "./server.js";

/** A button for the card of a face that is exchanged for the answer. */
export function explanation(photograph, index) {
  const button = h("button", { class: "button" }, "What does this rest on?");
  // Whoever has gone on to something else is not called back. A disabled button is left without the focus.
  const waiting = () => [button, document.body].includes(document.activeElement);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const headers = { "Content-Type": photograph.type || "application/octet-stream" };
      const answer = await ask(`/v1/explain?face=${index}`, { method: "POST", body: photograph, headers });
      const shown = draw(await answer.json());
      const waits = waiting();
      button.replaceWith(shown);
      if (waits) shown.focus();
    } catch (error) {
      const waits = waiting();
      button.disabled = false;
      if (waits) button.focus();
      button.textContent = error.message;
      say(error.message);
    }
  });
  return button;
}

// As mien.explain colours them: without these parts the share falls, or rises.
const FALLS = [213, 94, 0];
const RISES = [0, 114, 178];
const FAINTEST = 0.05; // where nothing changes more than this, the map is pale

/** The face in grey, with the parts that its reading rests on in orange, and those that spoke against it in blue. */
function draw({ expression, crop, map }) {
  const side = crop.length;
  const canvas = h("canvas", { width: side, height: side, role: "img", "aria-label": `What ${expression} rests on, on the face` });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(side, side);
  const strongest = Math.max(FAINTEST, ...map.flat().map(Math.abs));
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const weight = 0.75 * Math.abs(map[y][x] / strongest);
      const tint = map[y][x] > 0 ? FALLS : RISES;
      tint.forEach((shade, channel) => { picture.data[4 * (y * side + x) + channel] = crop[y][x] * (1 - weight) + shade * weight; });
      picture.data[4 * (y * side + x) + 3] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
  const most = Math.max(0, ...map.flat());
  const rests = most < 0.01
    ? "covering any one part changes next to nothing."
    : `its share falls by up to ${percent(most)} when an orange part is covered; it rises when a blue one is.`;
  say(`The map for ${expression} is shown`);
  return h("div", { class: "explanation", tabindex: "-1" }, canvas,
    h("p", {}, `${capital(expression)}: ${rests} This is what mien went by, which need not be what people go by.`));
}
