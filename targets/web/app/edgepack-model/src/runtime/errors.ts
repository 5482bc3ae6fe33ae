/** What can go wrong, as a union that `switch (error.failure.code)` takes apart. */
export type Failure =
  /** The input is none that the model takes. */
  | { code: "input" }
  /** A text has more tokens than the model takes. */
  | { code: "too-long"; tokens: number; limit: number }
  /** The server does not have a file. */
  | { code: "not-found"; file: string; status: number }
  /** A file did not come, and is not kept from an earlier visit. */
  | { code: "network"; file: string }
  /** Files that do not belong together, such as a model and its tokenizer. */
  | { code: "mismatch"; files: string[] }
  /** The bundle is for another task, or of a form that this code does not know. */
  | { code: "bundle" }
  /** The page is not a secure context (https or localhost), in which alone files can be checked. */
  | { code: "insecure" }
  /** A signal said so, or the caller left. */
  | { code: "aborted" }
  /** The model was closed, or its worker ended. */
  | { code: "closed" }
  /** onnxruntime-web failed, such as for want of memory. */
  | { code: "runtime" };

/** Every error that this module raises. */
export class ModelError extends Error {
  override readonly name = "ModelError";

  constructor(message: string, readonly failure: Failure) {
    super(message);
  }

  get code(): Failure["code"] {
    return this.failure.code;
  }
}

/** An error as it travels between a worker and its page. */
export interface SentError {
  message: string;
  failure: Failure;
}

export function sent(error: unknown): SentError {
  if (error instanceof ModelError) return { message: error.message, failure: error.failure };
  const message = error instanceof Error ? error.message : String(error);
  return { message, failure: { code: "runtime" } };
}

export function aborted(): ModelError {
  return new ModelError("it was aborted", { code: "aborted" });
}
