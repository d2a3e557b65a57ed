// The page: what is clicked and typed, what the server says, and the labels on their way to it.

import { Stage } from "./stage.js";
import { Strip } from "./strip.js";
import { UNKNOWN } from "./drawing.js";
import * as server from "./server.js";

const $ = (name) => document.getElementById(name);
const PALETTE = ["#e6194b", "#3cb44b", "#4363d8", "#ffe119", "#f58231", "#42d4f4", "#f032e6", "#bfef45", "#fabed4", "#469990"];

const facts = await server.facts();
const stage = new Stage($("canvas"), facts.width, facts.height, () => save());
const strip = new Strip($("strip"), facts, (frame) => go(frame));
let state = { frames: 0, labelled: {}, objects: [], next: [], prediction: "", round: { state: "idle", losses: [] } };
let frame = -1, turn = 0, loaded = Promise.resolve();
const revisions = {}; // those that this window has seen
const pictures = new Map(); // the last few, about 100 MB of them
const MOST_PICTURES = Math.min(40, Math.max(4, Math.floor(2.5e7 / (facts.width * facts.height))));
const saving = new Map(); // by frame, what is to be written when the last writing has ended

function say(text, problem = false) {
  $("said").textContent = text;
  $("said").classList.toggle("problem", problem);
}

const told = (what) => Promise.resolve(what).catch((error) => say(error.message, true));

// Frames

async function pictureOf(number) {
  if (!pictures.has(number)) {
    if (pictures.size >= MOST_PICTURES) pictures.delete(pictures.keys().next().value);
    const loading = server.picture(number);
    pictures.set(number, loading);
    loading.catch(() => pictures.delete(number));
  }
  return pictures.get(number);
}

async function labelsOf(number) {
  const waiting = saving.get(number);
  if (waiting?.labels) return { labels: waiting.labels.slice(), predicted: false };
  try {
    if (state.labelled[number]) {
      const { labels, revision } = await server.readLabels(number);
      revisions[number] = revision;
      return { labels, predicted: false };
    }
    revisions[number] = 0;
    if (state.prediction) return { labels: await server.readMask(number), predicted: true };
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  return { labels: new Uint8Array(facts.width * facts.height), predicted: false };
}

async function go(number, again = false) {
  number = Math.min(state.frames - 1, Math.max(0, number));
  if (number < 0 || (number === frame && !again)) return;
  if (stage.stroke) stage.release();
  frame = number;
  const mine = ++turn;
  strip.set({ frame });
  showPlace();
  stage.ready = false;
  await loaded.catch(() => {}); // of the frames that are passed by meanwhile, only the last is asked for
  if (mine !== turn) return;
  loaded = Promise.all([pictureOf(number), labelsOf(number)]);
  const [picture, found] = await loaded;
  stage.show(picture, found.labels, found.predicted);
  if (mine !== turn) return; // seen in passing
  stage.ready = true;
  update();
  if (number + 1 < state.frames) pictureOf(number + 1).catch(() => {});
}

function showPlace() {
  $("where").textContent = `frame ${frame} of ${state.frames}${state.complete ? "" : " so far"}`;
}

// Labels

function save(labels = stage.labels) {
  const waiting = saving.get(frame);
  say("saving");
  saving.set(frame, { labels: labels && labels.slice(), more: true });
  if (!waiting) told(write(frame));
}

// Writes the labels of a frame, again where they changed meanwhile. On a full disk they wait here until there is room.
async function write(number) {
  try {
    while (saving.get(number).more) {
      const order = saving.get(number);
      order.more = false;
      revisions[number] = await server.writeLabels(number, order.labels, revisions[number] ?? 0);
      if (order.labels) state.labelled[number] = revisions[number];
      else delete state.labelled[number];
    }
    const removed = !saving.get(number).labels;
    saving.delete(number);
    say("saved");
    if (removed && number === frame) await go(number, true);
  } catch (error) {
    if (error.status === 409) { // the other window's labels stay
      saving.delete(number);
      await go(number, true);
    } else {
      saving.get(number).more = true;
      setTimeout(() => told(write(number)), 3000);
    }
    throw error;
  } finally {
    update();
  }
}

function remove() {
  if (!stage.ready || (!state.labelled[frame] && !saving.has(frame))) return;
  delete state.labelled[frame];
  stage.ready = false;
  save(null);
}

function accept() {
  if (!stage.predicted || !stage.ready) return;
  stage.predicted = false;
  stage.paint();
  save();
}

function clear() {
  if (stage.ready && !stage.busy) stage.replace(new Uint8Array(stage.labels.length));
}

async function snap() {
  if (!stage.ready || stage.busy) return;
  const mine = turn;
  stage.ready = false;
  try {
    const cut = await server.snap(frame, stage.labels, stage.object);
    if (mine === turn) stage.replace(cut);
  } finally {
    if (mine === turn) stage.ready = true;
  }
}

// Objects

function choose(object) {
  if (object !== UNKNOWN && !state.objects.some((each) => each.id === object)) return;
  stage.object = object;
  if (stage.tool === "eraser") use("brush");
  showObjects();
}

function addObject() {
  const used = new Set(state.objects.map((each) => each.id));
  let id = 1;
  while (used.has(id)) id++;
  if (id > 254) return say("there are 254 objects: no more ids are left", true);
  const objects = [...state.objects, { id, name: `object ${id}`, colour: PALETTE[(id - 1) % PALETTE.length] }];
  setObjects(objects);
  choose(id);
}

function setObjects(objects) {
  state.objects = objects;
  told(server.writeObjects(objects));
  stage.setColours(objects);
  showObjects();
}

function showObjects() {
  if ($("objects").contains(document.activeElement)) {
    for (const row of $("objects").children) row.classList.toggle("chosen", Number(row.dataset.id) === stage.object);
    return;
  }
  $("objects").replaceChildren(...state.objects.map((each, index) => {
    const row = document.createElement("li"), colour = document.createElement("input"), name = document.createElement("input");
    const key = document.createElement("kbd");
    row.dataset.id = each.id;
    row.classList.toggle("chosen", each.id === stage.object);
    row.addEventListener("pointerdown", () => choose(each.id));
    Object.assign(colour, { type: "color", value: each.colour, title: "colour on the page" });
    Object.assign(name, { type: "text", value: each.name, maxLength: 80, title: "name" });
    const change = () => setObjects(state.objects.map((other) => (other.id === each.id
      ? { ...other, name: name.value, colour: colour.value } : other)));
    colour.addEventListener("change", change);
    name.addEventListener("change", change);
    key.textContent = index < 9 ? index + 1 : "";
    row.append(colour, name, key);
    return row;
  }));
}

// Tools

function use(tool) {
  if (tool !== "polygon") stage.giveUp();
  stage.tool = tool;
  for (const button of document.querySelectorAll("[data-tool]")) button.classList.toggle("chosen", button.dataset.tool === tool);
  stage.draw();
}

function resize(radius) {
  stage.radius = Math.min(100, Math.max(1, radius));
  $("size").value = stage.radius;
  stage.draw();
}

function nextOne() {
  const [first] = state.next.filter((each) => each !== frame);
  if (first !== undefined) told(go(first));
}

// Training

async function train() {
  while (saving.size) await new Promise((wait) => setTimeout(wait, 50)); // the last stroke counts
  await server.train();
}

function showRound() {
  const { state: at, phase, done, total, unit, losses, J, seconds, sentence } = state.round;
  const under = at === "training" || at === "stopping";
  $("train").disabled = under;
  $("stop").hidden = !under;
  $("stop").disabled = at === "stopping";
  $("bar").hidden = !under;
  if (total) $("bar").value = done / total;
  else $("bar").removeAttribute("value");
  const much = total ? `${done} of ${total} ${unit}s` : "";
  const loss = losses.length ? `loss ${losses.at(-1).toFixed(3)}, J ${J.toFixed(3)} on the labels` : "";
  const words = {
    idle: "", training: [phase, much, loss].filter(Boolean).join(", "), stopping: "saving what there is",
    done: `masks are there, after ${seconds.toFixed(0)} s`, failed: sentence,
  };
  $("phase").textContent = words[at];
  $("losses").hidden = losses.length < 2;
  const canvas = $("losses"), context = canvas.getContext("2d"), most = Math.max(...losses, 1e-6);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#5aa9ff";
  context.beginPath();
  losses.forEach((each, index) => context.lineTo(
    index / Math.max(1, losses.length - 1) * canvas.width, canvas.height - 2 - each / most * (canvas.height - 4)));
  context.stroke();
}

function update() {
  strip.set({ frames: state.frames, labelled: state.labelled, next: state.next });
  showPlace();
  $("accept").disabled = !stage.predicted;
  $("remove").disabled = !state.labelled[frame];
  const next = JSON.stringify([state.next, state.prediction]);
  if ($("next").dataset.shown === next) return; // a button that is being clicked stays
  $("next").dataset.shown = next;
  $("next").replaceChildren(...state.next.map((each) => {
    const button = document.createElement("button");
    button.textContent = each;
    button.title = strip.expected.length ? `expected J ${strip.expected[each].toFixed(2)}` : "stands for many frames";
    button.addEventListener("click", () => told(go(each)));
    return button;
  }));
}

async function see(now) {
  const before = state;
  state = now;
  for (const [number, { labels }] of saving) { // not written yet: a full disk
    if (labels) state.labelled[number] ??= revisions[number] || 1;
    else delete state.labelled[number];
  }
  if (JSON.stringify(before.objects) !== JSON.stringify(now.objects)) {
    stage.setColours(now.objects);
    if (stage.object !== UNKNOWN && !now.objects.some((each) => each.id === stage.object)) stage.object = now.objects[0]?.id ?? 1;
    showObjects();
  }
  if (now.problem && now.problem !== before.problem) say(now.problem, true);
  if (now.prediction !== before.prediction) strip.set({ expected: now.prediction ? await server.expected() : [] });
  showRound();
  update();
  if (frame < 0) {
    await go(0);
    return;
  }
  const other = (now.labelled[frame] ?? 0) !== (revisions[frame] ?? 0);
  const unlabelled = !now.labelled[frame] && now.prediction !== before.prediction;
  if ((other || unlabelled) && stage.ready && !stage.busy && !saving.has(frame)) await go(frame, true);
}

// Keys and buttons

const keys = {
  b: () => use("brush"), e: () => use("eraser"), p: () => use("polygon"), g: () => use("fill"), s: () => told(snap()),
  "[": () => resize(stage.radius * 0.8 - 0.5), "]": () => resize(stage.radius * 1.25 + 0.5),
  ArrowLeft: (event) => told(go(frame - (event.shiftKey ? 10 : 1))), ArrowRight: (event) => told(go(frame + (event.shiftKey ? 10 : 1))),
  Home: () => told(go(0)), End: () => told(go(state.frames - 1)), n: nextOne, a: accept, c: clear, Delete: remove, f: () => stage.fit(),
  h: () => { stage.shown = !stage.shown; stage.draw(); }, Escape: () => stage.giveUp(), Enter: () => stage.closePolygon(),
  "?": () => $("keys").showModal(), 0: () => choose(UNKNOWN),
};

addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=text]") || $("keys").open) return;
  const control = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (control && key === "z") (event.shiftKey ? stage.redo() : stage.undo());
  else if (control && key === "y") stage.redo();
  else if (control && key === "Enter") told(train());
  else if (control || event.altKey) return;
  else if (key === " ") stage.panning = true;
  else if (/^[1-9]$/.test(key)) choose(state.objects[key - 1]?.id);
  else if (keys[key]) keys[key](event);
  else return;
  event.preventDefault();
});
addEventListener("keyup", (event) => { if (event.key === " ") stage.panning = false; });
addEventListener("beforeunload", (event) => { if (saving.size) event.preventDefault(); });

for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => use(button.dataset.tool));
const clicks = {
  undo: () => stage.undo(), redo: () => stage.redo(), snap: () => told(snap()), clear, accept, remove, add: addObject,
  help: () => $("keys").showModal(), train: () => told(train()), stop: () => told(server.stop()),
};
for (const [name, what] of Object.entries(clicks)) $(name).addEventListener("click", what);
$("size").addEventListener("input", () => resize(Number($("size").value)));

$("video").textContent = facts.video;
document.title = `${facts.video}: revseg-label`;
use("brush");
server.watch((now) => told(see(now)), () => say(server.GONE, true), () => { if ($("said").textContent === server.GONE) say(""); });
