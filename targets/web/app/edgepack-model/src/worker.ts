/** The worker's side: what runs when the page has started it. */
import { type Port, serve } from "./serve.js";

serve(globalThis as unknown as Port);
