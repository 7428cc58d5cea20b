// Sends what is chosen or dropped, a few files at a time. Without it the form itself works.

import { look } from "./desk.js";

const AT_A_TIME = 3;

const form = document.querySelector("#drop");
const input = document.querySelector("#files");
const sending = document.querySelector("#sending");
const refused = document.querySelector("#refused");

const queue = [];
const sent = new Map(); // file -> bytes that have left
let busy = 0;

function add(files) {
  if (!busy && !queue.length) sent.clear();
  for (const file of files) {
    const limit = isZip(file) ? form.dataset.uploadBytes : form.dataset.photoBytes;
    if (file.size > limit) {
      refuse(file.name, `It has more than ${Math.floor(limit / 2 ** 20)} MB.`);
    } else {
      sent.set(file, 0);
      queue.push(file);
    }
  }
  while (busy < AT_A_TIME && queue.length) work();
  show();
}

async function work() {
  busy += 1;
  while (queue.length) {
    const file = queue.shift();
    try {
      const { refused = [], detail } = await send(file);
      for (const { name, reason } of refused) refuse(name, reason);
      if (detail) refuse(file.name, detail);
    } catch (error) {
      refuse(file.name, error.message);
    }
    sent.set(file, file.size);
    show();
    look();
  }
  busy -= 1;
  show();
}

// fetch cannot tell how much has left, so it is the old way.
function send(file) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("photo", file);
    request.upload.onprogress = ({ loaded }) => {
      sent.set(file, Math.min(loaded, file.size));
      show();
    };
    request.onload = () => {
      request.response ? resolve(request.response) : reject(new Error(`The server said ${request.status}.`));
    };
    request.onerror = () => reject(new Error("It could not be sent: the server does not answer, or the file is gone."));
    request.open("POST", form.action);
    request.setRequestHeader("accept", "application/json");
    request.responseType = "json";
    request.send(body);
  });
}

function show() {
  const files = [...sent.keys()];
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  const gone = [...sent.values()].reduce((sum, size) => sum + size, 0);
  sending.hidden = busy === 0;
  sending.querySelector("p").textContent = `Sending ${files.length - queue.length} of ${files.length}`;
  sending.querySelector("progress").value = bytes ? gone / bytes : 1;
}

function refuse(name, reason) {
  const row = document.createElement("li");
  row.append(Object.assign(document.createElement("b"), { textContent: name }), ` ${reason}`);
  refused.querySelector("ul").append(row);
  refused.hidden = false;
}

function isZip(file) {
  return file.name.toLowerCase().endsWith(".zip");
}

input.addEventListener("change", () => {
  add(input.files);
  form.reset();
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.toggle("dragging", event.dataTransfer.types.includes("Files"));
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  add(event.dataTransfer.files);
});
