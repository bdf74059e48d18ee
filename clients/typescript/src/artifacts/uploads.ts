/** The data of an upload: bytes, a file or chunks, cut into pieces small enough to send. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { setImmediate } from "node:timers/promises";

import { InvalidArgument, notOf } from "../values/arguments.js";

const PIECE_BYTES = 1 << 20;

/**
 * Bytes, a file by its `file:` URL, or chunks. Chunks can be read only once, so an upload of them is
 * not retried.
 */
export type Data = Uint8Array | URL | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Whether the data can be read a second time. */
export function isRepeatable(data: Data): data is Uint8Array | URL {
  return data instanceof Uint8Array || data instanceof URL;
}

/** The digest and size of bytes or a file; empty and undefined for chunks. */
export interface Measured {
  readonly sha256: Uint8Array;
  readonly size: bigint | undefined;
}

/** As `Measured` says; throws `InvalidArgument` for what is no data, before any of it is sent. */
export async function measure(data: Data): Promise<Measured> {
  checkData(data);
  if (!isRepeatable(data)) {
    return { sha256: new Uint8Array(), size: undefined };
  }
  const hash = createHash("sha256");
  let size = 0n;
  for await (const piece of pieces(data)) {
    hash.update(piece);
    size += BigInt(piece.length);
    await setImmediate(); // lets other tasks run, however much there is to hash
  }
  return { sha256: Uint8Array.from(hash.digest()), size };
}

/** The data in pieces small enough to send; none is empty. */
export async function* pieces(data: Data): AsyncGenerator<Uint8Array, void, undefined> {
  if (data instanceof URL) {
    yield* createReadStream(data, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Uint8Array>;
    return;
  }
  for await (const chunk of data instanceof Uint8Array ? [data] : data) {
    if (!((chunk as unknown) instanceof Uint8Array)) {
      throw notOf("chunks that are Uint8Arrays", chunk, "data");
    }
    for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
      yield chunk.subarray(start, start + PIECE_BYTES);
    }
  }
}

function checkData(data: unknown): void {
  if (data instanceof URL && data.protocol !== "file:") {
    throw new InvalidArgument("data", `must be a file: URL, is ${data.href}`);
  }
  const isObject = typeof data === "object" && data !== null;
  const isIterable = isObject && (Symbol.iterator in data || Symbol.asyncIterator in data);
  if (!(data instanceof URL) && !isIterable) {
    throw notOf("a Uint8Array, a file: URL or chunks of bytes", data, "data");
  }
}
