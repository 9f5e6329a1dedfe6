// Talks to the server that sent this page, and to no other.
import { $ } from "./dom.js";

let token = sessionStorage.getItem("token");

/** Takes the token from the address that mien serve prints, also where it is given to a page that is open already. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  sessionStorage.setItem("token", (token = given));
  history.replaceState(null, "", location.pathname);
  if ($("#token").open) $("#token").close("given");
}
takeToken();
addEventListener("hashchange", takeToken);

/** What went wrong, in a sentence for people. */
export class Problem extends Error {
  constructor(record, retry) {
    const told = [record.title ?? "Something went wrong", capital(record.detail ?? "")];
    if (retry && !/try again/i.test(record.detail)) told.push(`Try again in ${retry} s`);
    super(told.filter(Boolean).map((text) => (/[.?!]$/.test(text) ? text : `${text}.`)).join(" "));
    this.status = record.status;
  }
}

const capital = (text) => text.replace(/^<upload>: /, "This file: ").replace(/^./, (letter) => letter.toUpperCase());

export const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});

/** Asks for the token; throws a Problem when none is given. */
export function askForToken(wrong = Boolean(token)) {
  const dialog = $("#token");
  $("#token-wrong").hidden = !wrong;
  dialog.returnValue = "";
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      const entered = $("#token-field").value.trim();
      $("#token-field").value = "";
      if (dialog.returnValue === "given") {
        resolve();
        return;
      }
      if (dialog.returnValue !== "ok" || !entered) {
        reject(new Problem({ title: "This service asks for a token", detail: "who started it knows it", status: 401 }));
        return;
      }
      if (!/^[ -~]+$/.test(entered)) { // a header holds no other letters, and no token has them
        resolve(askForToken(true));
        return;
      }
      sessionStorage.setItem("token", (token = entered));
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

/** Sends a request; asks for the token when it is wanted; throws a Problem when the answer is one. */
export async function ask(path, options = {}) {
  for (;;) {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ title: "The server does not answer", detail: "is mien serve still running?" });
    }
    if (answer.status === 401) {
      await askForToken();
      continue;
    }
    if (!answer.ok) throw await problemOf(answer);
    return answer;
  }
}

async function problemOf(answer) {
  const record = await answer.json().catch(() => ({ title: `The server answered ${answer.status}` }));
  return new Problem(record, answer.headers.get("Retry-After"));
}

/** Opens a socket; the token goes along as a protocol, since a page can add no other header. */
export function openSocket(path) {
  const protocols = ["mien.live.v1"];
  if (token) {
    const bytes = String.fromCharCode(...new TextEncoder().encode(token));
    protocols.push("bearer." + btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""));
  }
  return new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`, protocols);
}

/** What the server can do and takes. */
let known = null;
export const abilities = () => (known ??= ask("/v1/models").then((answer) => answer.json()).catch((error) => {
  known = null;
  throw error;
}));

/** Where the pictures go: this computer, or another one. */
export const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
