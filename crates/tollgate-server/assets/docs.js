// Renders /openapi.json. Text only: nothing of the document is ever taken as markup.
"use strict";

const element = (name, attributes, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
};

const nameOf = (reference) => reference.split("/").pop();

const typeOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.oneOf) return schema.oneOf.map(typeOf).join(" or ");
  if (schema.type === "array") return "list of " + typeOf(schema.items);
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type || "any";
  return schema.format ? `${type} (${schema.format})` : type;
};

const table = (heads, rows) =>
  element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))));

const code = (text) => element("code", {}, text);

const properties = (schema) => {
  const required = new Set(schema.required || []);
  return table(["Field", "Type", "Meaning"], Object.entries(schema.properties || {}).map(([name, field]) =>
    [code(name + (required.has(name) ? "" : "?")), typeOf(field), field.description || ""]));
};

const section = (title, ...content) => [element("h3", {}, title), ...content];

const describe = (document_, schema) => {
  if (!schema) return "";
  const found = schema.$ref ? document_.components.schemas[nameOf(schema.$ref)] : schema;
  return found && found.properties ? properties(found) : element("p", {}, typeOf(schema));
};

const bodyOf = (content) => (content ? Object.values(content)[0].schema : null);

const route = (document_, path, verb, operation) => {
  const id = `${verb}${path.replaceAll(/[^a-z]+/g, "-")}`;
  const parts = [];
  if (operation.description) parts.push(element("p", {}, operation.description));
  if ((operation.parameters || []).length) {
    parts.push(...section("Parameters", table(["Name", "In", "Type", "Meaning"], operation.parameters.map((p) =>
      [code(p.name + (p.required ? "" : "?")), p.in, typeOf(p.schema), p.description || ""]))));
  }
  if (operation.requestBody) parts.push(...section("Request", describe(document_, bodyOf(operation.requestBody.content))));
  const good = operation.responses["200"];
  if (good && good.content) parts.push(...section("Reply", describe(document_, bodyOf(good.content))));
  parts.push(...section("Statuses", table(["Status", "Meaning"], Object.entries(operation.responses).map(([status, reply]) =>
    [code(status), reply.description || "the reply above"]))));
  return element("details", { id },
    element("summary", {}, element("span", { class: `verb ${verb}` }, verb.toUpperCase()), code(path),
      element("span", { class: "what" }, operation.summary || "")),
    element("div", {}, ...parts));
};

const show = (document_) => {
  document.getElementById("about").textContent = document_.info.description;
  const routes = document.getElementById("routes");
  const list = element("ul", {});
  routes.replaceChildren();
  for (const tag of document_.tags) {
    routes.append(element("h2", {}, tag.name), element("p", {}, tag.description || ""));
    for (const [path, verbs] of Object.entries(document_.paths)) {
      for (const [verb, operation] of Object.entries(verbs)) {
        if (!(operation.tags || []).includes(tag.name)) continue;
        const made = route(document_, path, verb, operation);
        routes.append(made);
        const link = element("a", { href: `#${made.id}` }, code(`${verb.toUpperCase()} ${path}`));
        link.addEventListener("click", () => { made.open = true; });
        list.append(element("li", {}, link));
      }
    }
  }
  document.getElementById("contents").replaceChildren(list);
};

fetch("/openapi.json")
  .then((reply) => reply.json())
  .then(show)
  .catch(() => { document.getElementById("routes").textContent = "The description could not be loaded; reload the page."; });
