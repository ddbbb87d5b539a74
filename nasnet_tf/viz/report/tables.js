// Lets the reader sort tables by clicking column titles, and filter their rows. The row elements are reordered and hidden but never
// rebuilt, so text in a cell is never parsed as markup.
const NUMBER = /^([+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?|[+-]?inf)\s*(?:%|±.*|\(.*\))?$/i;
const DURATION = /^\d+(:\d\d){1,2}$/; // [hours:]minutes:seconds
const MISSING = /^(-|–|—|nan|none|)$/i;
const collator = new Intl.Collator("en", {numeric: true});

function valueOf(text) {
  if (MISSING.test(text)) return null;
  if (DURATION.test(text)) return text.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
  const number = NUMBER.exec(text.replace("−", "-"));
  return number ? Number(number[1].replaceAll(",", "").replace(/inf/i, "Infinity")) : text;
}

// Sorts numbers before texts. In a column of texts, all values are texts, even those that look like numbers.
function compare(a, b) {
  if (typeof a === "string" && typeof b === "string") return collator.compare(a, b);
  return typeof a === "number" && typeof b === "number" ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
}

// Sorts missing values last in both directions; rows with equal values stay in the order of the page.
function sorted(rows, column, isText, direction) {
  const texts = rows.map(row => row.cells[column].textContent.trim());
  let values = texts.map(valueOf);
  const strings = values.filter(value => typeof value === "string").length;
  const numbers = values.filter(value => typeof value === "number").length;
  if (isText || strings > numbers) values = values.map((value, place) => value === null ? null : texts[place]);
  const places = rows.map((_, place) => place);
  const known = places.filter(place => values[place] !== null).sort((a, b) => direction * compare(values[a], values[b]));
  return [...known, ...places.filter(place => values[place] === null)].map(place => rows[place]);
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

// Returns a select element for the groups of rows; a group is [label, count].
function choiceOf(groups) {
  const choice = element("select", {autocomplete: "off"});
  choice.append(element("option", {value: "", textContent: "all"}));
  for (const [label, count] of groups) {
    const short = label.length > 80 ? label.slice(0, 79) + "…" : label;
    choice.append(element("option", {value: label, textContent: short + " (" + count.toLocaleString("en") + ")"}));
  }
  return choice;
}

function textOf(row) {
  return [...row.cells].map(cell => cell.textContent.toLowerCase()).join("\n");
}

function countOf(all, found, start, end) {
  const number = value => value.toLocaleString("en");
  return (found < all ? number(found) + " of " : "") + number(all) + " rows" +
    (end - start < found ? ", from " + number(start + 1) + " to " + number(end) : "");
}

// Adds sorting, a filter and pages to a table. The reader's settings are stored under its name.
function activate(table, name) {
  const rows = [...table.tBodies].flatMap(body => [...body.rows]);
  if (rows.length < 2) return;
  const most = table.tBodies[0].rows.length; // rows per page: a browser takes seconds to lay out 20,000
  const titles = [...table.tHead.rows[0].cells], groups = JSON.parse(table.dataset.groups || "[]");
  const set = {column: "", direction: 1, filter: "", group: "", page: 0, focus: -1, ...remembered[name]};
  let texts = null; // texts of the rows, read when the reader first filters

  const filter = element("input", {type: "search", placeholder: "Filter", value: set.filter, autocomplete: "off"});
  const choice = Object.assign(choiceOf(groups), {value: set.group, hidden: groups.length < 2});
  if (choice.selectedIndex < 0) choice.value = ""; // the stored group no longer exists
  const count = element("span", {});
  filter.setAttribute("aria-label", "Filter the rows");
  choice.setAttribute("aria-label", "Rows to show");
  count.setAttribute("role", "status");
  const [previous, next] = ["Previous", "Next"].map(text => element("button", {type: "button", textContent: text}));
  const buttons = titles.map(title => element("button", {type: "button", textContent: title.textContent}));
  const controls = [filter, choice, previous, next, ...buttons];

  function found() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const group = String(groups.findIndex(([label]) => label === choice.value));
    if (words.length) texts ||= rows.map(textOf);
    return rows.filter((row, place) =>
      (!choice.value || (row.dataset.groups || "").split(" ").includes(group)) && words.every(word => texts[place].includes(word)));
  }

  function show() {
    const column = buttons.findIndex(button => button.textContent === set.column), matching = found();
    const order = column < 0 ? matching : sorted(matching, column, titles[column].classList.contains("text"), set.direction);
    const pages = Math.max(1, Math.ceil(order.length / most)), page = set.page = Math.min(set.page, pages - 1);
    const start = page * most, end = Math.min(start + most, order.length), body = element("tbody", {});
    body.append(...order.slice(start, end));
    for (const old of [...table.tBodies]) old.remove();
    table.append(body);
    titles.forEach((title, place) => title.setAttribute("aria-sort", place !== column ? "none" : set.direction > 0 ? "ascending" : "descending"));
    count.textContent = countOf(rows.length, order.length, start, end);
    previous.hidden = next.hidden = pages === 1;
    const focused = document.activeElement; // read before, because a button that becomes disabled loses the focus of the keyboard
    [previous.disabled, next.disabled] = [page === 0, page === pages - 1];
    if (focused.disabled) (next.disabled ? previous : next).focus();
  }

  function change(values) {
    remember(name, Object.assign(set, {page: 0}, values));
    show();
  }

  // The first click sorts in ascending order, the second in descending order, and the third restores the order of the page.
  function turn(title) {
    if (set.column !== title) change({column: title, direction: 1});
    else change(set.direction > 0 ? {direction: -1} : {column: "", direction: 1});
  }

  const tools = element("div", {className: "tools"});
  tools.append(filter, choice, count, previous, next);
  table.parentElement.before(tools);
  buttons.forEach((button, place) => titles[place].replaceChildren(button));
  show();
  buttons.forEach(button => button.addEventListener("click", () => turn(button.textContent)));
  filter.addEventListener("input", () => change({filter: filter.value}));
  choice.addEventListener("change", () => change({group: choice.value}));
  previous.addEventListener("click", () => change({page: set.page - 1}));
  next.addEventListener("click", () => change({page: set.page + 1}));
  controls[set.focus]?.focus({preventScroll: true});
  for (const control of controls) {
    for (const kind of ["focus", "blur"]) {
      control.addEventListener(kind, () => remember(name, Object.assign(set, {focus: controls.indexOf(document.activeElement)})));
    }
  }
}

// Names each table by the headings above it: these names stay when sections are added to a live page.
function activateAll() {
  let section = "", part = "";
  const known = {};
  for (const each of document.querySelectorAll("h2, h3, table")) {
    if (each.tagName === "H2") [section, part] = [each.textContent, ""];
    else if (each.tagName === "H3") part = each.textContent;
    else {
      const name = section + " / " + part;
      known[name] = (known[name] || 0) + 1;
      activate(each, "table " + name + " " + known[name]);
    }
  }
}
activateAll();
