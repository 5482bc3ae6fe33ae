/** Where the tests' files are, seen from dist/tests/. */
import { ModelError } from "../src/runtime/errors.js";

export const BUNDLE = new URL("../../bundle/", import.meta.url);
export const INPUTS = new URL("../../tests/golden_inputs.safetensors", import.meta.url);

export async function bytes(address: URL): Promise<Uint8Array<ArrayBuffer> | null> {
  const response = await fetch(address);
  return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
}

export function check(holds: boolean, told: string): void {
  if (!holds) throw new Error(told);
}

/** The ModelError that `run` ends with. */
export async function failure(run: Promise<unknown>): Promise<ModelError> {
  const error = await run.then(() => null, (reason: unknown) => reason);
  if (error instanceof ModelError) return error;
  throw new Error(`no ModelError, but ${error}`);
}
