// A video: sent, read frame by frame as it is answered, shown with its readings in step.
import { $, complain, h, save, say, takeFiles } from "./dom.js";
import { capital, colour, EXPRESSIONS, legend, percent, placeBox, verdict } from "./faces.js";
import { abilities, askForToken, headers, Problem } from "./server.js";
import { clock, drawTimeline, heightOf, timeAt } from "./timeline.js";

const LANES = 5; // faces in the timeline
const BUTTONS = 12; // faces that can be chosen

let section, player, slider;
let request = null;
let frames = [];
let text = "";
let name = "video";
let tracks = new Map(); // id → { samples, seconds of each expression }
let chosen = null;
let interval = 0; // seconds between the last two frames
let url = null;
let redraw = 0;

export function start(root) {
  section = root;
  player = $("[data-video]", section);
  slider = $("[data-canvas]", section);
  takeFiles(section, read);
  legend($("[data-legend]", section));
  $("[data-cancel]", section).addEventListener("click", () => request?.abort());
  $("[data-save-json]", section).addEventListener("click", () =>
    save(new Blob([text], { type: "application/x-ndjson" }), `${name.replace(/\.[^.]*$/, "")}.jsonl`));
  const step = player.requestVideoFrameCallback
    ? (_, { mediaTime }) => { overlay(mediaTime); player.requestVideoFrameCallback(step); }
    : null;
  if (step) player.requestVideoFrameCallback(step);
  for (const event of ["timeupdate", "seeked", "loadeddata"]) player.addEventListener(event, () => overlay(player.currentTime));
  player.addEventListener("error", () => {
    $("[data-unplayable]", section).hidden = !player.src;
  });
  const seek = (event) => go(timeAt(slider, event.clientX, 0, length()));
  slider.addEventListener("pointerdown", (event) => { slider.setPointerCapture(event.pointerId); seek(event); });
  slider.addEventListener("pointermove", (event) => event.buttons && seek(event));
  slider.addEventListener("keydown", (event) => {
    const now = player.currentTime;
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, PageUp: now + 10, PageDown: now - 10, Home: 0, End: length() }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });
  addEventListener("resize", draw);
}

export async function enter() {
  const place = $("[data-limit]", section);
  try {
    const { video, limits } = await abilities();
    place.textContent = video
      ? `up to ${size(limits.max_video_bytes)} and ${duration(limits.max_video_seconds)}`
      : "This server cannot read videos: pip install \"mien[video]\"";
    requestAnimationFrame(draw);
  } catch (error) {
    complain(section, error);
  }
}

export function leave() {
  player.pause();
}

const size = (bytes) => (bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.round(bytes / 1048576)} MiB`);
const duration = (seconds) => (seconds < 120 ? `${Math.round(seconds)} seconds` : `${Math.round(seconds / 60)} minutes`);
const length = () => (Number.isFinite(player.duration) && player.duration > 0 ? player.duration : frames.at(-1)?.time ?? 0);

function go(time) {
  player.currentTime = Math.min(Math.max(time, 0), length());
  overlay(player.currentTime);
}

async function read(file) {
  complain(section, null);
  try {
    const { limits } = await abilities();
    if (file.size > limits.max_video_bytes) {
      throw new Error(`This file has ${size(file.size)}; videos may have ${size(limits.max_video_bytes)} here. Cut or shrink it first.`);
    }
  } catch (error) {
    complain(section, error);
    return;
  }
  request?.abort();
  [frames, text, name, tracks, chosen, interval] = [[], "", file.name || "video", new Map(), null, 1 / 30];
  $("[data-start]", section).hidden = true;
  $("[data-result]", section).hidden = false;
  $("[data-title]", section).textContent = "Looking for faces…";
  $("[data-title]", section).focus({ preventScroll: true }); // what was used to choose the video is gone
  $("[data-tracks]", section).replaceChildren();
  $("[data-more]", section).hidden = true;
  $("[data-shares]", section).replaceChildren();
  $("[data-boxes]", section).replaceChildren();
  $("[data-unplayable]", section).hidden = true;
  if (url) URL.revokeObjectURL(url);
  player.src = url = URL.createObjectURL(file);
  send(file);
}

/** Sends with XMLHttpRequest, which tells how much has gone, and gives the answer as it comes. */
function send(file) {
  const mine = (request = new XMLHttpRequest());
  const bar = $("[data-progress]", section);
  const step = $("[data-step]", section);
  const begun = performance.now();
  $("[data-reading]", section).hidden = false;
  [bar.value, step.textContent] = [0, "Sending"];
  say("Sending the video");
  mine.open("POST", "/v1/video");
  for (const [header, value] of Object.entries(headers())) mine.setRequestHeader(header, value);
  mine.setRequestHeader("Content-Type", file.type.startsWith("video/") ? file.type : "application/octet-stream");
  mine.upload.addEventListener("progress", (event) => {
    bar.value = event.loaded / event.total;
    step.textContent = `Sending, ${percent(bar.value)}`;
  });
  mine.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    step.textContent = "Reading";
    say("The video is sent, and being read");
  });
  let taken = 0;
  let problem = null;
  let cancelled = false;
  const take = () => {
    if (mine.status !== 200) return;
    const end = mine.responseText.lastIndexOf("\n") + 1;
    for (const line of mine.responseText.slice(taken, end).split("\n")) {
      if (!line) continue;
      const record = JSON.parse(line);
      if (record.faces) add(record);
      else problem = record;
    }
    taken = end;
    text = mine.responseText.slice(0, end);
    const now = frames.at(-1)?.time ?? 0;
    const rate = frames.length / ((performance.now() - begun) / 1000);
    if (length()) bar.value = now / length();
    step.textContent = `Read to ${clock(now)} of ${clock(length())}, ${rate.toFixed(0)} frames a second`;
    schedule();
  };
  mine.addEventListener("progress", take);
  mine.addEventListener("abort", () => { cancelled = true; });
  mine.addEventListener("loadend", async () => {
    if (mine !== request) return;
    request = null;
    $("[data-reading]", section).hidden = true;
    if (mine.status === 401) {
      try {
        await askForToken();
        send(file);
        return;
      } catch (error) {
        complain(section, error);
      }
    } else if (mine.status === 200) take();
    else if (mine.status) problem = parsed(mine.responseText);
    else if (!cancelled) problem = { title: "The server does not answer", detail: "is mien serve still running?" };
    if (problem) complain(section, new Problem(problem, mine.getResponseHeader("Retry-After")));
    if (cancelled) say("Stopped");
    if (!frames.length) {
      $("[data-result]", section).hidden = true;
      $("[data-start]", section).hidden = false;
      $("[data-file]", section).focus();
      return;
    }
    finish();
  });
  mine.send(file);
}

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return { title: "The server failed" };
  }
}

/** Counts the time for which the last frame was shown, at most a second. */
function showUntil(time) {
  const shown = frames.at(-1);
  if (!shown) return;
  interval = Math.min(1, Math.max(0, time - shown.time)) || interval;
  for (const face of shown.faces) tracks.get(face.track).seconds[face.smoothed_expression] += interval;
}

function add(record) {
  showUntil(record.time);
  frames.push(record);
  for (const face of record.faces) {
    if (!tracks.has(face.track)) tracks.set(face.track, { samples: [], seconds: Object.fromEntries(EXPRESSIONS.map((word) => [word, 0])) });
    const track = tracks.get(face.track);
    track.samples.push({ time: record.time, shares: face.smoothed });
  }
}

function schedule() {
  redraw ||= requestAnimationFrame(() => {
    redraw = 0;
    list();
    draw();
  });
}

/** The faces that were seen for longest, as many as are asked for, and the chosen one; by their numbers. */
function longest(count) {
  const ordered = [...tracks].sort((a, b) => b[1].samples.length - a[1].samples.length);
  const shown = ordered.slice(0, count);
  if (chosen !== null && !shown.some(([id]) => id === chosen)) shown.splice(-1, 1, [chosen, tracks.get(chosen)]);
  return shown.sort((a, b) => a[0] - b[0]);
}

function list() {
  if (chosen === null && tracks.size) [[chosen]] = longest(1);
  const shown = longest(BUTTONS);
  const more = $("[data-more]", section);
  more.hidden = tracks.size <= shown.length;
  more.textContent = `and ${tracks.size - shown.length} more, seen for a shorter time; the JSON has them all`;
  const place = $("[data-tracks]", section);
  const listed = [...place.children].map((button) => Number(button.dataset.track));
  if (listed.join() !== shown.map(([id]) => id).join()) {
    place.replaceChildren(...shown.map(([id]) => h("button", {
      "aria-pressed": String(id === chosen),
      "data-track": id,
      onclick: () => { chosen = id; list(); draw(); overlay(player.currentTime); },
    }, `Face ${id}`)));
  }
  for (const button of place.children) button.setAttribute("aria-pressed", String(Number(button.dataset.track) === chosen));
  $("[data-title]", section).textContent = tracks.size === 1 ? "One face" : tracks.size ? `${tracks.size} faces` : request ? "Looking for faces…" : "Nobody";
  if (chosen !== null) shares(tracks.get(chosen));
}

/** The share of time that a face spent in each expression. */
function shares(track) {
  const total = Object.values(track.seconds).reduce((sum, value) => sum + value, 0) || 1; // while its first frame is shown
  const rows = EXPRESSIONS.map((word) => h("tr", {},
    h("th", { scope: "row" }, capital(word)),
    h("td", {}, h("div", { class: "track", "aria-hidden": "true" }, bar(word, track.seconds[word] / total))),
    h("td", { class: "value" }, percent(track.seconds[word] / total))));
  $("[data-shares]", section).replaceChildren(h("div", { class: "card" },
    h("p", { class: "quiet" }, `Face ${chosen}, in sight for ${total.toFixed(1)} s: share of that time in each expression`),
    h("table", { class: "bars" }, h("caption", { class: "hidden" }, `Share of time in each expression, face ${chosen}`), h("tbody", {}, ...rows))));
}

function bar(word, share) {
  const element = h("i", { "--colour": colour(word) });
  element.style.width = `${100 * share}%`;
  return element;
}

function finish() {
  showUntil(frames.length ? frames.at(-1).time + interval : 0);
  list();
  draw();
  overlay(player.currentTime);
  say(`${frames.length} frames are read. ${$("[data-title]", section).textContent}`);
}

function draw() {
  if (!frames.length) return;
  const lanes = longest(LANES).map(([id, { samples }]) => ({ name: `Face ${id}`, samples }));
  if (!lanes.length) lanes.push({ samples: [] });
  slider.style.height = `${heightOf(lanes.length)}px`;
  $("#timeline-title").textContent = tracks.size > LANES ? `Timeline: ${LANES} of ${tracks.size} faces` : "Timeline";
  const now = player.currentTime;
  drawTimeline(slider, lanes, { from: 0, to: Math.max(length(), 0.1), cursor: now, gap: Math.max(0.6, 1.1 * interval) });
  slider.setAttribute("aria-valuemax", length().toFixed(1));
  slider.setAttribute("aria-valuenow", now.toFixed(1));
  const face = at(now)?.faces.find((one) => one.track === chosen);
  slider.setAttribute("aria-valuetext", `${clock(now)}${face ? `, face ${chosen}: ${verdict(face)[0]}` : ""}`);
}

/** The frame that is shown at a time: the last that is not after it. */
function at(time) {
  let [low, high] = [0, frames.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (frames[middle].time <= time + 0.002) low = middle;
    else high = middle - 1;
  }
  return frames[low];
}

function overlay(time) {
  const record = frames.length ? at(time) : null;
  const faces = record && Math.abs(record.time - time) < Math.max(0.5, 1.1 * interval) ? record.faces : [];
  const boxes = $("[data-boxes]", section);
  while (boxes.children.length < faces.length) boxes.append(h("div", { class: "box" }, h("span", { class: "tag" })));
  while (boxes.children.length > faces.length) boxes.lastChild.remove();
  faces.forEach((face, index) => {
    const { width, height } = record;
    placeBox(boxes.children[index], face, { width, height, across: player.clientWidth, name: face.track });
    boxes.children[index].classList.toggle("chosen", face.track === chosen && tracks.size > 1);
  });
  draw();
}
