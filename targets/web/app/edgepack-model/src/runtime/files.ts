/** A bundle's files: from Cache Storage or the network, each checked against the SHA-256 in edgepack.json. */
import { aborted, ModelError } from "./errors.js";
import { type FileEntry, type Manifest, readManifest } from "./manifest.js";

/** Bytes of the bundle's files that are here, of all that are needed. */
export interface Progress {
  loaded: number;
  total: number;
  /** The file that is being read. */
  file: string;
}

const CACHE = "edgepack-model";
const MANIFEST = "edgepack.json";

export class Files {
  #kept: boolean;
  readonly #keeping: Promise<void>[] = [];
  readonly #loaded = new Map<string, number>();
  #total = 0;

  private constructor(
    readonly manifest: Manifest,
    private readonly base: string,
    private readonly cache: Cache | null,
    private readonly report: (progress: Progress) => void,
    private readonly signal: AbortSignal,
  ) {
    this.#kept = cache !== null;
  }

  /** Opens the bundle at the address `base`, which ends in a slash. */
  static async open(
    base: string,
    tasks: readonly string[],
    keep: boolean,
    report: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Files> {
    const cache = keep ? await opened() : null;
    const manifest = readManifest(await manifestText(base, cache, signal), tasks);
    return new Files(manifest, base, cache, report, signal);
  }

  /** Reads `names` and checks each; what is kept of another version of the bundle is deleted. */
  async read(names: readonly string[]): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    this.#total = names.reduce((sum, name) => sum + this.#entry(name).bytes, 0);
    const found = await Promise.all(names.map(async (name) => [name, await this.#one(name)] as const));
    this.#keeping.push(this.#tidy(names));
    return new Map(found);
  }

  /** Whether the files are kept for the next visit: false where there is no room, or no Cache Storage. */
  async kept(): Promise<boolean> {
    await Promise.all(this.#keeping);
    return this.#kept;
  }

  has(name: string): boolean {
    return name in this.manifest.files;
  }

  async #one(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.#entry(name);
    const key = this.#key(name, entry);
    const stored = await this.cache?.match(key);
    if (stored) {
      const bytes = await this.#body(stored, name, entry);
      if ((await sha256(bytes)) === entry.sha256) return bytes;
      await this.cache?.delete(key); // it was damaged where it is kept: the server's is asked for
    }
    const bytes = await this.#body(await fetched(this.base + name, name, this.signal), name, entry);
    const digest = await sha256(bytes);
    if (digest !== entry.sha256) throw mismatch(this.manifest, name, digest);
    this.#keeping.push(this.#keep(key, bytes)); // while the model is opened
    return bytes;
  }

  /** Stores a file; without room for it the model runs from memory, and is fetched again at the next visit. */
  async #keep(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      await this.cache?.put(key, new Response(bytes));
    } catch {
      this.#kept = false; // QuotaExceededError, mostly
    }
  }

  async #tidy(names: readonly string[]): Promise<void> {
    const wanted = new Set([this.base + MANIFEST, ...names.map((name) => this.#key(name, this.#entry(name)))]);
    for (const request of (await this.cache?.keys()) ?? []) {
      if (request.url.startsWith(this.base) && !wanted.has(request.url)) await this.cache?.delete(request);
    }
  }

  /** Reads a response of the size that edgepack.json tells, and reports how far it is. */
  async #body(response: Response, name: string, entry: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(entry.bytes);
    let length = 0;
    try {
      const reader = response.body?.getReader();
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
        if (length + part.value.length > bytes.length) throw mismatch(this.manifest, name, "a longer file");
        bytes.set(part.value, length);
        length += part.value.length;
        this.#loaded.set(name, length);
        const loaded = [...this.#loaded.values()].reduce((sum, one) => sum + one, 0);
        this.report({ loaded, total: this.#total, file: name });
      }
    } catch (error) {
      if (this.signal.aborted) throw aborted();
      if (error instanceof ModelError) throw error;
      throw new ModelError(`${name} broke off after ${length} bytes`, { code: "network", file: name });
    }
    return bytes;
  }

  #entry(name: string): FileEntry {
    const entry = this.manifest.files[name];
    if (!entry) throw new ModelError(`the bundle has no ${name}`, { code: "bundle" });
    return entry;
  }

  #key(name: string, entry: FileEntry): string {
    return `${this.base}${name}?sha256=${entry.sha256}`;
  }
}

/** Cache Storage; null where the browser does not let it be used, as in some private windows. */
async function opened(): Promise<Cache | null> {
  try {
    return typeof caches === "undefined" ? null : await caches.open(CACHE);
  } catch {
    return null;
  }
}

/** The manifest of the server; without a network the one that is kept. */
async function manifestText(base: string, cache: Cache | null, signal: AbortSignal): Promise<string> {
  const address = base + MANIFEST;
  try {
    const text = await (await fetched(address, MANIFEST, signal)).text();
    await cache?.put(address, new Response(text)).catch(() => undefined);
    return text;
  } catch (error) {
    const stored = await cache?.match(address);
    if (stored && error instanceof ModelError && error.code === "network") return stored.text();
    throw error;
  }
}

async function fetched(address: string, name: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, { signal, cache: "no-cache" });
  } catch {
    if (signal.aborted) throw aborted();
    throw new ModelError(`${name} did not come from ${address}`, { code: "network", file: name });
  }
  if (response.ok) return response;
  throw new ModelError(`${address} gave ${response.status}`, { code: "not-found", file: name, status: response.status });
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (typeof crypto === "undefined" || !crypto.subtle) {
    throw new ModelError("files can be checked on pages of https or localhost alone", { code: "insecure" });
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Names the model and its tokenizer where one of them is wrong: one without the other answers nonsense. */
function mismatch(manifest: Manifest, wrong: string, digest: string): ModelError {
  const models = Object.values(manifest.models).flatMap((model) => model.files);
  const tokenizers = Object.keys(manifest.files).filter((name) => name.endsWith("tokenizer.json"));
  const others = models.includes(wrong) ? tokenizers : tokenizers.includes(wrong) ? models.slice(0, 1) : [];
  const files = [wrong, ...others];
  const told = others.length ? `${files.join(" and ")} do not belong together` : `${wrong} is not the bundle's`;
  const wanted = manifest.files[wrong]?.sha256.slice(0, 12);
  return new ModelError(
    `${told}: ${wrong} has the SHA-256 ${digest.slice(0, 12)}, and ${manifest.name} was built with ${wanted}`,
    { code: "mismatch", files },
  );
}
