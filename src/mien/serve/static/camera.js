// The camera: frames go to the server as they can be read, never more than two at once; the newest wins.
import { $, complain, h, say } from "./dom.js";
import { bars, capital, colour, legend, percent, placeBox, verdict } from "./faces.js";
import { abilities, ask, isLocal, openSocket } from "./server.js";
import { drawTimeline, heightOf } from "./timeline.js";

const LONG_SIDE = 640;
const QUALITY = 0.8;
const AHEAD = 2; // frames on their way at once: one is read while the next is sent
const KEPT = 60; // seconds of the timeline
const LANES = 3; // faces in the timeline
const CARDS = 4; // faces that have their bars shown
const SPOKEN = 4000; // milliseconds between two sentences to a screen reader

let section, video, stream, socket, closing;
let attempt = 0; // to open the camera: one that the tab was left during is none any more
let sending = null; // a frame that is being made
let pending, sentAt, answered, cards, spoken, waits;
let history = new Map(); // track → its samples of the last minute
let view; // shows the frame that was answered, so that its boxes lie on its faces
let shown = []; // the frames on their way
const canvas = document.createElement("canvas");

export function start(root) {
  section = root;
  video = $("[data-video]", section);
  view = $("[data-view]", section);
  $("[data-where]", section).textContent = isLocal
    ? "Frames are read on this computer and forgotten. Nothing is stored, nothing is sent on."
    : `Frames go to ${location.host}, are read there and forgotten. Nothing is stored, nothing is sent on.`;
  $("[data-start-camera]", section).addEventListener("click", open);
  $("[data-stop]", section).addEventListener("click", () => {
    close();
    $("[data-start-camera]", section).focus();
  });
  legend($("[data-legend]", section));
}

export function leave() {
  attempt += 1;
  close();
}

async function open() {
  complain(section, null);
  const button = $("[data-start-camera]", section);
  const mine = (attempt += 1);
  button.disabled = true;
  try {
    await abilities(); // asks for the token, if one is wanted
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give the camera only to pages on this computer (localhost) or behind https.");
    }
    const given = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" },
    });
    if (mine !== attempt) { // the tab was left while the browser asked
      for (const track of given.getTracks()) track.stop();
      return;
    }
    stream = given;
  } catch (error) {
    complain(section, new Error(refusal(error)));
    return;
  } finally {
    button.disabled = false;
  }
  stream.getVideoTracks()[0].addEventListener("ended", () => {
    close();
    complain(section, new Error("The camera was taken away. Connect it, and start again."));
  });
  video.srcObject = stream;
  await video.play().catch(() => {});
  if (mine === attempt) begin();
}

function refusal(error) {
  return {
    NotAllowedError: "The camera was refused. Allow it in the browser’s address bar, and start again; nothing is stored.",
    NotFoundError: "There is no camera. Connect one, and start again.",
    NotReadableError: "The camera is in use by another program. Close that one, and start again.",
    OverconstrainedError: "This camera cannot give a picture that can be read.",
  }[error.name] ?? error.message;
}

function begin() {
  [pending, answered, history, cards, spoken, closing] = [0, [], new Map(), new Map(), 0, false];
  [sentAt, waits, shown] = [[], [], []];
  $("[data-frame]", section).style.aspectRatio = `${video.videoWidth || 4} / ${video.videoHeight || 3}`;
  $("[data-curtain]", section).hidden = true;
  $("[data-stop]", section).hidden = false;
  $("[data-timeline]", section).hidden = false;
  $("[data-stop]", section).focus({ preventScroll: true });
  say("The camera is on");
  const mine = (socket = openSocket("/v1/live"));
  let opened = false;
  mine.addEventListener("open", () => {
    opened = true;
    if (mine === socket) next();
  });
  mine.addEventListener("message", (event) => mine === socket && take(JSON.parse(event.data)));
  mine.addEventListener("close", (event) => {
    if (mine !== socket) return;
    const wasClosing = closing;
    close();
    if (wasClosing) return;
    if (opened) complain(section, new Error(event.reason ? `The server ended it: ${event.reason}.` : "The server went away. Is mien serve still running?"));
    else refused();
  });
}

/** Browsers do not tell why a socket was not opened: the same address does, asked without one. */
async function refused() {
  try {
    await ask("/v1/live");
  } catch (error) {
    complain(section, error.status === 426 ? new Error("The camera’s socket could not be opened: what is between this page and the server may not let WebSockets through.") : error);
  }
}

function close() {
  closing = true;
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  video.srcObject = null;
  const old = socket;
  socket = null;
  old?.close(1000);
  view.getContext("2d").clearRect(0, 0, view.width, view.height);
  $("[data-boxes]", section).replaceChildren();
  $("[data-cards]", section).replaceChildren();
  $("[data-curtain]", section).hidden = false;
  $("[data-stop]", section).hidden = true;
  $("[data-rate]", section).textContent = "";
  $("[data-nobody]", section).hidden = false;
  $("[data-nobody]", section).textContent = "The camera is off.";
  $("[data-more]", section).hidden = true;
}

/** Sends frames for as long as there is room for them on the way. */
async function next() {
  while (socket?.readyState === WebSocket.OPEN && stream && !sending && pending < AHEAD) {
    const mine = socket;
    sending = frame();
    const blob = await sending;
    sending = null;
    if (mine !== socket) continue; // the frame was of a camera that was stopped; another may have been started since
    if (blob && mine.readyState === WebSocket.OPEN) {
      pending += 1;
      sentAt.push(performance.now());
      shown.push(await createImageBitmap(canvas));
      mine.send(blob);
    }
  }
}

/** The camera's next frame as JPEG. */
async function frame() {
  await new Promise((resolve) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    setTimeout(resolve, 200); // a camera may pause
  });
  if (!video.videoWidth) return null;
  const scale = Math.min(1, LONG_SIDE / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

function take(record) {
  const now = performance.now();
  pending -= 1 + record.dropped;
  sentAt.splice(0, record.dropped);
  for (const passed of shown.splice(0, record.dropped)) passed.close();
  const picture = shown.shift();
  if (view.width !== picture.width || view.height !== picture.height) { // at first, and when the phone is turned
    [view.width, view.height] = [picture.width, picture.height];
    $("[data-frame]", section).style.aspectRatio = `${view.width} / ${view.height}`;
  }
  view.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  waits.push(now - sentAt.shift());
  if (waits.length > 30) waits.shift();
  answered.push(now);
  while (answered[0] < now - 2000) answered.shift();
  if (record.faces) show(record, now);
  next();
}

function show(record, now) {
  const seconds = now / 1000;
  const wait = waits.reduce((sum, value) => sum + value, 0) / waits.length;
  const rate = answered.length / Math.min(2, Math.max(0.5, (now - answered[0]) / 1000));
  $("[data-rate]", section).textContent = `${rate.toFixed(0)} frames a second, each answered in ${wait < 1000 ? `${wait.toFixed(0)} ms` : `${(wait / 1000).toFixed(1)} s`}`;
  const boxes = $("[data-boxes]", section);
  while (boxes.children.length < record.faces.length) boxes.append(h("div", { class: "box" }, h("span", { class: "tag" })));
  while (boxes.children.length > record.faces.length) boxes.lastChild.remove();
  const { width, height } = record;
  const across = view.clientWidth;
  record.faces.forEach((face, index) => placeBox(boxes.children[index], face, { width, height, across, name: face.track, mirrored: true }));
  showCards(record.faces);
  for (const face of record.faces) {
    if (!history.has(face.track)) history.set(face.track, []);
    history.get(face.track).push({ time: seconds, shares: face.smoothed });
  }
  const timeline = $("[data-canvas]", section);
  drawLanes(timeline, seconds);
  if (now - spoken > SPOKEN) {
    spoken = now;
    const words = record.faces.map((face) => `Face ${face.track}: ${verdict(face)[0]}`).join(". ") || "Nobody in sight";
    timeline.setAttribute("aria-label", `The expressions of the last minute. ${words}`);
    say(words);
  }
}

/** The last minute of the faces that were in sight for longest in it. */
function drawLanes(timeline, seconds) {
  for (const [track, samples] of history) {
    while (samples.length && samples[0].time < seconds - KEPT) samples.shift();
    if (!samples.length) history.delete(track);
  }
  const longest = [...history].sort((a, b) => b[1].length - a[1].length).slice(0, LANES).sort((a, b) => a[0] - b[0]);
  const lanes = longest.map(([track, samples]) => ({ name: `Face ${track}`, samples: samples.map(({ time, shares }) => ({ time: time - seconds, shares })) }));
  if (!lanes.length) lanes.push({ samples: [] });
  timeline.style.height = `${heightOf(lanes.length)}px`;
  drawTimeline(timeline, lanes, { from: -KEPT, to: 0, gap: 1, label: (time) => (time ? `−${-time} s` : "now") });
}

function showCards(faces) {
  const nobody = $("[data-nobody]", section);
  nobody.hidden = faces.length > 0;
  nobody.textContent = "Nobody is in sight.";
  const carded = faces.slice(0, CARDS);
  const more = $("[data-more]", section);
  more.hidden = faces.length <= CARDS;
  more.textContent = `and ${faces.length - CARDS} more`;
  for (const [track, old] of cards) {
    if (!carded.some((face) => face.track === track)) {
      old.element.remove();
      cards.delete(track);
    }
  }
  for (const face of carded) {
    let known = cards.get(face.track);
    if (!known) {
      const word = h("p", { class: "word" });
      const table = bars(face.smoothed, `How likely each word is for face ${face.track}`);
      const element = h("li", { class: "card" }, h("div", {}, h("h3", { class: "number" }, `Face ${face.track}`), word), table);
      known = { element, word, table };
      cards.set(face.track, known);
      $("[data-cards]", section).append(element);
    }
    const [word, share] = verdict(face);
    known.word.replaceChildren(h("span", { class: "swatch", "--colour": colour(word) }), capital(word), " ", h("small", {}, percent(share)));
    known.table.update(face.smoothed);
  }
}
