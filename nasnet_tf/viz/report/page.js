// Keeps the age of each time current while the page is open, and unfolds the section that a link leads into. After a reload, unfolds the
// sections that the reader had unfolded before.
function age() {
  for (const time of document.querySelectorAll("time")) {
    const minutes = Math.max(0, (Date.now() - new Date(time.dateTime)) / 60000);
    const text = minutes < 1 ? "less than a minute" : minutes < 120 ? Math.round(minutes) + " min" :
      minutes < 2880 ? Math.round(minutes / 60) + " h" : Math.round(minutes / 1440) + " days";
    time.nextElementSibling.textContent = " (" + text + " ago)";
  }
}
age();
setInterval(age, 10000);
const folds = [...document.querySelectorAll("details")];
for (const fold of folds) {
  fold.open = (remembered.folds || []).includes(fold.id);
  fold.addEventListener("toggle", () => remember("folds", folds.filter(each => each.open).map(each => each.id)));
}
function unfold() {
  const target = document.getElementById(location.hash.slice(1));
  const fold = target && target.closest("details");
  if (fold && !fold.open) {
    fold.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", unfold);
unfold();
const seconds = Number(document.documentElement.dataset.refresh);
if (seconds) setTimeout(() => location.reload(), 1000 * seconds);
