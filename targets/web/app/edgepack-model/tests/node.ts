/** Runs every test in Node.js. */
import test from "node:test";
import "./files_in_node.js";
import { tests } from "./tests.js";

for (const [name, run] of Object.entries(tests)) test(name, run);
