// Shows openapi.json: what can be asked, how, and what is answered.
import { $, h } from "./dom.js";

const description = await (await fetch("/openapi.json")).json();
const schemas = description.components.schemas;

$("[data-description]").textContent = description.info.description;
$("[data-curl]").textContent = [
  `curl --data-binary @party.jpg ${location.origin}/v1/predict`,
  `curl -F files=@one.jpg -F files=@two.jpg ${location.origin}/v1/predict`,
  `curl -N --data-binary @party.mp4 ${location.origin}/v1/video`,
  ...(description.components.securitySchemes ? [`curl -H "Authorization: Bearer $MIEN_TOKEN" ${location.origin}/v1/models`] : []),
].join("\n");

const named = (reference) => reference.split("/").at(-1);

/** A schema as a short text. */
function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return named(schema.$ref);
  if (schema.oneOf ?? schema.anyOf) return (schema.oneOf ?? schema.anyOf).map(kind).join(" or ");
  if (schema.type === "array") return schema.prefixItems ? `[${schema.prefixItems.map(kind).join(", ")}]` : `array of ${kind(schema.items)}`;
  if (schema.format === "binary") return "bytes";
  if (schema.type === "object" && schema.properties) return `{ ${Object.entries(schema.properties).map(([name, one]) => `${name}: ${kind(one)}`).join(", ")} }`;
  return schema.type ?? "anything";
}

const table = (headings, rows) => h("div", { class: "scroll" }, h("table", {},
  h("thead", {}, h("tr", {}, ...headings.map((heading) => h("th", { scope: "col" }, heading)))),
  h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((cell) => h("td", {}, cell)))))));

const code = (text) => h("code", {}, text);

function operation(path, method, about) {
  const inside = h("div", { class: "inside" }, h("p", {}, about.description ?? ""));
  if (about.parameters?.length) {
    inside.append(h("h3", {}, "Parameters"), table(["name", "kind", ""], about.parameters.map((one) => [code(one.name), kind(one.schema), one.description ?? ""])));
  }
  if (about.requestBody) {
    inside.append(h("h3", {}, "Body"), h("p", {}, about.requestBody.description ?? ""),
      table(["type", "kind"], Object.entries(about.requestBody.content).map(([type, one]) => [code(type), kind(one.schema)])));
  }
  inside.append(h("h3", {}, "Answers"), table(["status", "", "kind"], Object.entries(about.responses).map(([status, one]) =>
    [code(status), one.description, Object.values(one.content ?? {}).map((content) => kind(content.schema)).join(" or ")])));
  return h("details", { class: "operation" }, h("summary", {}, h("b", {}, method.toUpperCase()), code(path), h("span", { class: "quiet" }, (about.description ?? "").split(". ")[0])), inside);
}

const place = $("[data-operations]");
place.className = "cards";
for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, about] of Object.entries(methods)) place.append(operation(path, method, about));
}

const shapes = h("div", { class: "cards" });
for (const [name, schema] of Object.entries(schemas)) {
  if (!schema.properties || name === "Problem") continue;
  shapes.append(h("details", { class: "operation", id: name }, h("summary", {}, code(name), h("span", { class: "quiet" }, (schema.description ?? "").split(". ")[0])),
    h("div", { class: "inside" }, table(["member", "kind", ""], Object.entries(schema.properties).map(([member, one]) => [code(member), kind(one), one.description ?? ""])))));
}
place.after(h("h2", {}, "Records"), shapes);

// What the address names may have come only now, and moved in any case.
function show() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!named) return;
  if (named.tagName === "DETAILS") named.open = true;
  named.scrollIntoView();
}
addEventListener("hashchange", show);
show();
