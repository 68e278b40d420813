
// Links become players once they can be seen: hundreds of players would make the page slow to open.
function showPlayers(root) {
  for (const link of root.querySelectorAll("a.listen")) {
    const audio = document.createElement("audio");
    audio.controls = true;
    audio.preload = "none";
    audio.src = link.href;
    audio.setAttribute("aria-label", link.getAttribute("aria-label"));
    link.replaceWith(audio);
  }
}
document.querySelectorAll("details[open]").forEach(showPlayers);
document.addEventListener("toggle", (event) => event.target.open && showPlayers(event.target), true);

// One voice at a time.
document.addEventListener(
  "play",
  (event) => {
    for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
  },
  true,
);

// A tip beside whatever mark of a chart is pointed at or touched: browsers show a title late, and on phones not at all.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);

function tipOf(mark) {
  const title = mark.querySelector(":scope > title");
  if (title) {
    mark.dataset.tip = title.textContent;
    title.remove();
  }
  return mark.dataset.tip;
}

for (const kind of ["pointerover", "pointerdown"]) {
  document.addEventListener(kind, (event) => {
    const mark = event.target.closest?.("[data-tip], svg *");
    const text = mark ? tipOf(mark) : undefined;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const left = Math.min(event.clientX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const below = event.clientY + 18;
    const top = below + tip.offsetHeight > window.innerHeight ? event.clientY - tip.offsetHeight - 10 : below;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${top}px`;
  });
}
document.addEventListener("scroll", () => (tip.hidden = true), { capture: true, passive: true });

// Marks of one language light up together when one of them or its row is pointed at; a filtered table dims the others.
const marks = new Map();
for (const mark of document.querySelectorAll(".plot [data-code]")) {
  if (!marks.has(mark.dataset.code)) marks.set(mark.dataset.code, []);
  marks.get(mark.dataset.code).push(mark);
}
let lit = [];
document.addEventListener("pointerover", (event) => {
  for (const mark of lit) mark.classList.remove("lit");
  lit = marks.get(event.target.closest?.("[data-code]")?.dataset.code) ?? [];
  for (const mark of lit) mark.classList.add("lit");
});
document.addEventListener("filtered", (event) => {
  const shown = event.detail && new Set(event.detail.map((item) => item.dataset.code));
  const few = shown !== null && shown.size <= 12;
  for (const [code, members] of marks) {
    for (const mark of members) {
      mark.classList.toggle("dim", shown !== null && !shown.has(code));
      mark.classList.toggle("chosen", few && shown.has(code));
    }
  }
});
