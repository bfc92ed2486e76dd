// A square to draw on with a mouse, a pen or a finger; gradio.HTML runs this when it is shown.
// Its value is the drawing as a PNG's data URL, and null while there is none.
const EVERY = 250; // Milliseconds between two looks at a line that is being drawn.
let lines = [];
let drawing = false;
let timer = null;

function paint() {
  const canvas = element.querySelector("canvas");
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  Object.assign(context, { lineWidth: props.line, lineCap: "round", lineJoin: "round" });
  for (const line of lines) {
    context.beginPath();
    line.forEach((point) => context.lineTo(...point));
    context.lineTo(...line[0].map((place, axis) => line.at(-1)[axis])); // A dot has one point.
    context.stroke();
  }
  return canvas;
}

function tell() {
  clearTimeout(timer);
  timer = null;
  props.value = lines.length ? paint().toDataURL("image/png") : null;
  trigger("change");
}

function place(event) {
  const canvas = element.querySelector("canvas");
  const frame = canvas.getBoundingClientRect();
  const scale = canvas.width / frame.width;
  return [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
}

element.addEventListener("pointerdown", (event) => {
  if (event.target.tagName !== "CANVAS" || event.button) return;
  event.target.setPointerCapture(event.pointerId);
  drawing = true;
  lines.push([place(event)]);
  paint();
});
element.addEventListener("pointermove", (event) => {
  if (!drawing) return;
  lines.at(-1).push(place(event));
  paint();
  timer ??= setTimeout(tell, EVERY);
});
for (const end of ["pointerup", "pointercancel"]) {
  element.addEventListener(end, () => {
    if (drawing) tell();
    drawing = false;
  });
}
element.addEventListener("click", (event) => {
  if (event.target.tagName !== "BUTTON") return;
  lines = [];
  paint();
  tell();
});
watch("value", () => {
  if (!props.value) lines = [];
  paint();
});
paint().dataset.ready = "yes";
