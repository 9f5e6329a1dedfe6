// The page: three tabs, each a module of its own.
import { $, $$ } from "./dom.js";
import { isLocal } from "./server.js";
import * as photograph from "./photograph.js";
import * as camera from "./camera.js";
import * as video from "./video.js";

const PANELS = { photograph, camera, video };
const tabs = $$("[role=tab]");

for (const [name, panel] of Object.entries(PANELS)) panel.start($(`#${name}`));

function show(name) {
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    const panel = tab.getAttribute("aria-controls");
    if (!chosen && !$(`#${panel}`).hidden) PANELS[panel].leave?.();
    $(`#${panel}`).hidden = !chosen;
  }
  PANELS[name].enter?.();
}

for (const [index, tab] of tabs.entries()) {
  tab.addEventListener("click", () => { location.hash = tab.getAttribute("aria-controls"); });
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = tabs.at(step % tabs.length);
    location.hash = next.getAttribute("aria-controls");
    next.focus();
  });
}

const named = () => (Object.hasOwn(PANELS, location.hash.slice(1)) ? location.hash.slice(1) : "photograph");
addEventListener("hashchange", () => location.hash !== "#content" && show(named()));
show(named());

$("[data-destination]").textContent = isLocal
  ? `Nowhere. They are read by mien on this computer (${location.host}), and by nothing else.`
  : `To ${location.host}, the computer that sent you this page, where mien reads them; and nowhere else.`;
