/** What a task is on the side that computes. */
import type { Manifest } from "./manifest.js";
import type { Feeds, Runtime, Session } from "./session.js";

/** A method of an opened model, called from the page; `each` sends it a piece. */
export type Method = (args: never, each: (piece: unknown) => void, signal: AbortSignal) => Promise<unknown>;

/** An opened model on its worker's side. */
export interface Served {
  /** What the page is told of it once. */
  facts: unknown;
  methods: Record<string, Method>;
  /** The submodels by name, for the golden tests. */
  parts: Record<string, Part>;
}

/** A submodel, and how one example becomes its inputs. */
export interface Part {
  session: Session;
  feeds(example: never): Feeds;
}

export type BundleFiles = Map<string, Uint8Array<ArrayBuffer>>;
export type Open = (manifest: Manifest, files: BundleFiles, runtime: Runtime) => Promise<Served>;

/** How each task of a module is opened, by the name that a bundle has for it. */
export type Tasks = Record<string, Open>;
