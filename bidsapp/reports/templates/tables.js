// Tables of the class "sortable": a click on a heading sorts, lists above the table filter.
(() => {
  "use strict";
  const MOST_CHOICES = 40; // a column with more different values gets no list

  const text = (row, column) => row.cells[column].textContent;
  const number = (words) => (words === "" || words === "n/a" ? NaN : Number(words));

  function isNumeric(rows, column) {
    const values = rows.map((row) => text(row, column)).filter((words) => words !== "n/a");
    return values.length > 0 && values.every((words) => !Number.isNaN(number(words)));
  }

  function sort(table, heading, column) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const up = heading.getAttribute("aria-sort") !== "ascending";
    const numeric = isNumeric(rows, column);
    const keyed = rows.map((row) => [numeric ? number(text(row, column)) : text(row, column), row]);
    keyed.sort(([a], [b]) => {
      if (numeric) {
        // What is missing stays at the end, whichever way.
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
        return up ? a - b : b - a;
      }
      return (up ? 1 : -1) * a.localeCompare(b, "en", { numeric: true });
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...keyed.map(([, row]) => row));
  }

  function filter(rows, chosen, count) {
    const wanted = chosen.filter(([, list]) => list.selectedIndex > 0);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !wanted.every(([column, list]) => text(row, column) === list.value);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  }

  function list(name, values) {
    const select = document.createElement("select");
    select.add(new Option("all", ""));
    for (const value of values) select.add(new Option(value, value));
    const label = document.createElement("label");
    label.append(name, select);
    return [label, select];
  }

  function prepare(table) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 2) return;
    const bar = document.createElement("div");
    bar.className = "filters";
    const count = document.createElement("output");
    const chosen = [];
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const name = heading.textContent;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => sort(table, heading, column));
      heading.replaceChildren(button);
      const values = [...new Set(rows.map((row) => text(row, column)))];
      if (values.length < 2 || values.length > MOST_CHOICES || isNumeric(rows, column)) return;
      const [label, select] = list(name, values);
      select.addEventListener("change", () => filter(rows, chosen, count));
      chosen.push([column, select]);
      bar.append(label);
    });
    bar.append(count);
    filter(rows, chosen, count);
    table.parentElement.before(bar);
  }

  function unfold(details, plain) {
    // To a browser that runs scripts the content of <noscript> is text: the table's own source.
    plain.insertAdjacentHTML("beforebegin", plain.textContent);
    plain.remove();
    details.querySelectorAll("table.sortable").forEach(prepare);
  }

  document.querySelectorAll("table.sortable").forEach(prepare);
  for (const plain of document.querySelectorAll("details > noscript")) {
    const details = plain.parentElement;
    details.addEventListener("toggle", () => unfold(details, plain), { once: true });
  }
})();
