// The page: a conversation whose answers appear while they are written.
import { ModelError, Storyteller } from "./storyteller/dist/index.js";

const element = (id) => document.getElementById(id);
const [text, send, stop, status] = ["text", "send", "stop", "status"].map(element);
const messages = [];
let controller = new AbortController();

const model = await Storyteller.load({
  onProgress: ({ loaded, total }) => (element("progress").value = loaded / total),
}).catch(told);

if (model) {
  element("progress").hidden = true;
  status.textContent = model.kept ? "Ready, without a network too." : "Ready. There is no room to keep the model.";
  [text.disabled, send.disabled] = [false, false];
  text.focus();
}

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const content = text.value.trim();
  if (!content || send.disabled) return;
  text.value = "";
  shown({ role: "user", content });
  await answer(content).catch(told);
  [send.disabled, stop.disabled] = [false, true];
});
stop.addEventListener("click", () => controller.abort());

async function answer(content) {
  controller = new AbortController();
  [send.disabled, stop.disabled, status.textContent] = [true, false, ""];
  const prompt = model.chats ? [...messages] : content;
  const made = shown({ role: "assistant", content: "" });
  const options = { maxTokens: 80, temperature: 0.8, topP: 0.95, signal: controller.signal };
  for await (const piece of model.generate(prompt, options)) made(piece);
}

// Shows a message; the function adds a piece to it.
function shown(message) {
  messages.push(message);
  const item = document.createElement("li");
  item.className = message.role;
  item.textContent = message.content;
  element("messages").append(item);
  return (piece) => {
    item.textContent = message.content += piece;
    item.scrollIntoView({ block: "end" });
  };
}

function told(error) {
  if (!(error instanceof ModelError)) throw error;
  if (error.code !== "aborted") status.textContent = `${error.code}: ${error.message}`;
}
