// What a reader has set, by name, for as long as the tab is open: a live page loads itself again and must not lose it.
const MEMORY = "nasnet report " + location.pathname;

function readMemory() {
  try {
    return JSON.parse(sessionStorage.getItem(MEMORY)) || {};
  } catch { // a browser may forbid pages to store anything; then the page works and forgets
    return {};
  }
}

const remembered = readMemory();

function remember(name, value) {
  remembered[name] = value;
  try {
    sessionStorage.setItem(MEMORY, JSON.stringify(remembered));
  } catch {}
}
