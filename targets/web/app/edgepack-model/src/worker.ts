/** The worker's side: what runs when the page has started it. */
import { type Port, serve } from "./runtime/serve.js";
import { TASKS } from "./tasks.js";

serve(globalThis as unknown as Port, TASKS);
