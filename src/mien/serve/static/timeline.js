// A picture of shares over time: bands of the seven expressions, one upon another, which fill the height.
import { EXPRESSIONS } from "./faces.js";

const AXIS = 22; // pixels below, for the times
const NAME = 20; // pixels above a lane, for its name
const SCALE = 40; // pixels on the left, for the scale
const LANE = 64; // pixels of a lane, where there are several

/** The height in pixels that so many lanes need. */
export const heightOf = (count) => AXIS + (count > 1 ? count * (LANE + NAME) : 2 * LANE + NAME);

/** The time at a place of the page, across a timeline. */
export function timeAt(canvas, clientX, from, to) {
  const place = canvas.getBoundingClientRect();
  return from + ((clientX - place.left - SCALE) / (place.width - SCALE)) * (to - from);
}

/** Times as people read them. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * Draws lanes [{ name, samples: [{ time, shares }] }], one below another, between two times. Samples further apart than
 * `gap` seconds are not joined. `label(time)` names the marks below; `cursor` is a time to mark, or null.
 */
export function drawTimeline(canvas, lanes, { from, to, cursor = null, gap = 0.5, label = clock }) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || to <= from) return;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const styles = getComputedStyle(canvas);
  const [ink, quiet, sunk] = ["--ink", "--quiet", "--sunk"].map((name) => resolved(canvas, styles.getPropertyValue(name)));
  const floor = height - AXIS;
  const lane = floor / lanes.length;
  const across = width - SCALE;
  const x = (time) => SCALE + ((time - from) / (to - from)) * across;
  const write = (text, left, middle, { weight = 400, colour = quiet, align = "left" } = {}) => {
    [context.font, context.fillStyle, context.textAlign, context.textBaseline] = [`${weight} 12px ${styles.fontFamily}`, colour, align, "middle"];
    context.fillText(text, left, middle);
  };

  lanes.forEach(({ name, samples }, index) => {
    const top = index * lane + NAME;
    const tall = lane - NAME;
    context.fillStyle = sunk;
    context.fillRect(SCALE, top, across, tall);
    for (const run of runs(samples, gap, (to - from) / across)) {
      const base = run.map(() => 0);
      for (const word of EXPRESSIONS) {
        context.beginPath();
        run.forEach(({ time }, i) => context.lineTo(x(time), top + tall * (1 - base[i])));
        for (let i = run.length - 1; i >= 0; i--) {
          base[i] += run[i].shares[word];
          context.lineTo(x(run[i].time), top + tall * (1 - base[i]));
        }
        context.fillStyle = styles.getPropertyValue(`--${word}`).trim();
        context.fill();
        context.strokeStyle = "rgb(0 0 0 / 30%)";
        context.lineWidth = 0.5;
        context.stroke();
      }
    }
    context.fillStyle = "rgb(0 0 0 / 45%)";
    for (let left = SCALE; left < width; left += 8) context.fillRect(left, top + tall / 2, 4, 1);
    for (const [share, at] of [["100%", top + 6], ["50%", top + tall / 2], ["0%", top + tall - 6]]) write(share, SCALE - 6, at, { align: "right" });
    if (name) write(name, SCALE, top - NAME / 2, { weight: 600, colour: ink });
  });

  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((s) => ((to - from) / s) * 90 <= across) ?? 1200;
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    const text = label(time);
    const half = context.measureText(text).width / 2;
    write(text, Math.min(Math.max(x(time) - half, 0), width - 2 * half), height - 7);
    context.fillRect(x(time), floor, 1, 4);
  }
  if (cursor !== null) {
    context.fillStyle = ink;
    context.fillRect(Math.min(Math.max(x(cursor) - 1, SCALE), width - 2), 0, 2, floor + 4);
  }
}

/** A colour as the canvas takes it: light-dark() is worked out by the browser. */
function resolved(canvas, text) {
  canvas.style.color = text;
  const colour = getComputedStyle(canvas).color;
  canvas.style.color = "";
  return colour;
}

/** Stretches without a gap, thinned to about one sample a pixel. */
function runs(samples, gap, least) {
  const result = [];
  let last = null;
  for (const sample of samples) {
    if (last && sample.time - last.time < least && sample !== samples.at(-1)) continue;
    if (!last || sample.time - last.time > Math.max(gap, 2 * least)) result.push([]);
    result.at(-1).push(sample);
    last = sample;
  }
  return result.map((run) => (run.length > 1 ? run : [run[0], { ...run[0], time: run[0].time + Math.max(least, 0.04) }]));
}
