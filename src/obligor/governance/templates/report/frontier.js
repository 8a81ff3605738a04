// Moves the cut-off: reads the frontier that stands on the page, writes what the cut-off does, and moves the dots.
(() => {
  "use strict";
  const section = document.getElementById("policy");
  const frontier = JSON.parse(document.getElementById("frontier").textContent);
  const mover = section.querySelector(".mover");
  const range = mover.querySelector("input");
  const rate = (value) => (100 * value).toFixed(1) + "%";
  const points = (thousandths) => (thousandths / 1000).toFixed(1);
  const count = (value) => (Math.round(value) || 0).toLocaleString("en-US");
  const write = { score: points, approval_rate: rate, npl_rate: rate };

  // A cut-off does what the first score at or above it does: nobody scores between the two.
  const figures = (sample) => {
    const rows = frontier[sample];
    const row = rows.find((each) => each[0] >= Number(range.value)) || rows[rows.length - 1];
    return Object.fromEntries(frontier.names.map((name, at) => [name, row[at]]));
  };

  const show = () => {
    const found = { validation: figures("validation"), test: figures("test") };
    const said = points(Number(range.value)) + " points";
    mover.querySelector("output").textContent = said;
    range.setAttribute("aria-valuetext", said + ", approves " + rate(found.test.approval_rate) + " on the test");
    for (const cell of mover.querySelectorAll("td[data-sample]")) {
      const value = found[cell.dataset.sample][cell.dataset.figure];
      cell.textContent = value === null ? "\u2013" : (write[cell.dataset.figure] || count)(value);
    }
    for (const dot of section.querySelectorAll("circle[data-sample]")) {
      const { [dot.dataset.x]: x, [dot.dataset.y]: y } = found[dot.dataset.sample];
      const [left, across, floor, down] = dot.dataset.scale.split(" ").map(Number);
      dot.setAttribute("visibility", x === null || y === null ? "hidden" : "visible");
      dot.setAttribute("cx", left + across * x);
      dot.setAttribute("cy", floor + down * y);
    }
  };

  range.addEventListener("input", show);
  mover.querySelector("button").addEventListener("click", () => {
    range.value = range.defaultValue;
    show();
  });
  mover.hidden = false;
  show();
})();
