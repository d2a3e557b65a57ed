// What the page asks of its server. All addresses are relative: the token is in that of the page.
//
// States have numbers. The answer to a change says which is the first to know of it: older ones, and all that come while a change is
// on its way, would take back what the page already shows.

let changing = 0, newest = 0, held = null, see = () => {};

export const GONE = "the server is gone: start revseg-label again";

async function ask(path, request) {
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error(GONE);
  }
  if (response.ok) return response;
  const error = new Error(await response.text());
  error.status = response.status;
  throw error;
}

function deliver() {
  if (changing || !held || held.number < newest) return;
  const state = held;
  held = null;
  see(state);
}

async function change(path, request) {
  changing++;
  try {
    const response = await ask(path, request);
    newest = Math.max(newest, Number(response.headers.get("State")));
    return response;
  } finally {
    changing--;
    setTimeout(deliver); // whoever waits for the answer comes first
  }
}

async function compressed(labels) {
  const stream = new Blob([labels]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function labelsOf(response) {
  const revision = Number(response.headers.get("ETag") ?? 0);
  return { labels: new Uint8Array(await response.arrayBuffer()), revision };
}

export const facts = async () => (await ask("facts")).json();
export const expected = async () => (await ask("expected")).json();

const image = async (path) => createImageBitmap(await (await ask(path)).blob());
export const picture = (frame) => image(`frames/${frame}`);
export const sheet = (number, version) => image(`sheets/${number}?${version}`);

export const readLabels = async (frame) => labelsOf(await ask(`labels/${frame}`));
export const readMask = async (frame) => (await labelsOf(await ask(`masks/${frame}`))).labels;

export async function writeLabels(frame, labels, revision) {
  const headers = { "If-Match": String(revision) };
  const request = labels ? { method: "PUT", headers, body: await compressed(labels) } : { method: "DELETE", headers };
  return (await change(`labels/${frame}`, request)).json();
}

export async function snap(frame, labels, object) {
  const request = { method: "POST", body: await compressed(labels) };
  return (await labelsOf(await ask(`snap/${frame}?object=${object}`, request))).labels;
}

export async function writeObjects(objects) {
  await change("objects", { method: "PUT", body: JSON.stringify(objects) });
}

export const train = () => change("train", { method: "POST" });
export const stop = () => change("stop", { method: "POST" });

export function watch(told, lost, found) {
  const events = new EventSource("events");
  see = told;
  events.onmessage = (event) => {
    held = JSON.parse(event.data);
    deliver();
  };
  events.onerror = lost;
  events.onopen = found;
}
