// The reader's settings, by name. They last as long as the tab is open, so that a live page keeps them when it reloads.
const MEMORY = "nasnet report " + location.pathname;

function readMemory() {
  try {
    return JSON.parse(sessionStorage.getItem(MEMORY)) || {};
  } catch { // a browser may forbid pages to store anything; the page then forgets its settings when it reloads
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
