/** Payloads: values that the store keeps byte for byte. */

import { createHash } from "node:crypto";
import { inspect } from "node:util";

import { create } from "@bufbuild/protobuf";

import { PayloadSchema, type Payload as PayloadMessage } from "../gen/runstore/v1/payloads_pb.js";
import * as check from "./arguments.js";
import { jsonText } from "./json.js";

/**
 * The argument for a payload: a `Payload` as it is, a `Uint8Array` as a binary payload, anything else
 * as its JSON text (`Payload.of`). JSON has strings, finite numbers, booleans, null, arrays of these
 * and object literals; `registerEncoder` adds classes. `undefined` means no payload; `null` is JSON's null.
 */
export type Value = unknown;

const encoder = new TextEncoder();
const LONGEST_PRINTED = 200;

/** A value that the store keeps byte for byte: a JSON text or opaque bytes. */
export class Payload {
  /** Media type; empty if not given. */
  readonly contentType: string;
  readonly #content: string | Uint8Array;

  private constructor(content: string | Uint8Array, contentType: string) {
    this.#content = content;
    this.contentType = contentType;
  }

  /** A JSON text, kept exactly as it is; throws `InvalidArgument` if it has no UTF-8 form. */
  static json(text: string, contentType = ""): Payload {
    if (typeof text !== "string") {
      throw check.notOf("a string", text, "text");
    }
    check.text(contentType, "contentType");
    if (!text.isWellFormed()) {
      const problem = "holds a lone surrogate, which has no UTF-8 form: write it as its \\u escape";
      throw new check.InvalidArgument("text", problem);
    }
    return new Payload(text, contentType);
  }

  /** Opaque bytes. */
  static binary(bytes: Uint8Array, contentType = ""): Payload {
    check.bytes(bytes, "bytes");
    check.text(contentType, "contentType");
    return new Payload(Uint8Array.from(bytes), contentType);
  }

  /**
   * The JSON text of a value. Throws `InvalidArgument`, with the path of the value, for what
   * `JSON.stringify` would leave out or turn into something else: undefined, NaN, a bigint, a
   * function, an instance of a class such as Map, Set or Date; `registerEncoder` adds classes.
   */
  static of(value: Value, name = "payload"): Payload {
    return new Payload(jsonText(value, name), "");
  }

  /** Whether it is a JSON text. */
  get isJson(): boolean {
    return typeof this.#content === "string";
  }

  /** The JSON text; throws TypeError for bytes. */
  get text(): string {
    if (typeof this.#content !== "string") {
      throw new TypeError("the payload is binary; use bytes");
    }
    return this.#content;
  }

  /** The bytes; for a JSON text its UTF-8. */
  get bytes(): Uint8Array {
    return typeof this.#content === "string"
      ? encoder.encode(this.#content)
      : Uint8Array.from(this.#content);
  }

  /** The parsed JSON text. Numbers beyond a double lose digits here, never in `text`. */
  json(): unknown {
    return JSON.parse(this.text);
  }

  /** The hash by which a `Ref` names this content. */
  get sha256(): Uint8Array {
    return Uint8Array.from(createHash("sha256").update(this.#content).digest());
  }

  /** Stands for this content in a later snapshot of the same run. */
  get ref(): Ref {
    return new Ref(this.sha256);
  }

  /** Whether kind, content and media type are the same. */
  equals(other: Payload): boolean {
    return (
      this.isJson === other.isJson &&
      this.contentType === other.contentType &&
      Buffer.from(this.bytes).equals(other.bytes)
    );
  }

  /** The beginning of the JSON text, or how many bytes there are. */
  toString(): string {
    const type = this.contentType && ` (${this.contentType})`;
    if (typeof this.#content !== "string") {
      return `Payload of ${this.#content.length} bytes${type}`;
    }
    const isLong = this.#content.length > LONGEST_PRINTED;
    const text = isLong ? `${this.#content.slice(0, LONGEST_PRINTED)}…` : this.#content;
    return `Payload ${text}${type}`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** The content with its kind: what `JSON.stringify` writes. */
  toJSON(): { json: string } | { binary: string } {
    return typeof this.#content === "string"
      ? { json: this.#content }
      : { binary: Buffer.from(this.#content).toString("base64") };
  }
}

/** Stands for a snapshot part that the run has stored before. */
export class Ref {
  constructor(
    /** The hash of the part's content. */
    readonly sha256: Uint8Array,
  ) {
    check.bytes(sha256, "sha256");
  }

  /** The hash in hexadecimal digits. */
  toString(): string {
    return `Ref ${Buffer.from(this.sha256).toString("hex")}`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/** The payload that the argument `name` stands for. */
export function payloadOf(value: Value, name: string): Payload {
  if (value instanceof Payload) {
    return value;
  }
  return value instanceof Uint8Array ? Payload.binary(value) : Payload.of(value, name);
}

/** The message of the payload argument `name`; undefined for none. */
export function payloadMessage(value: Value, name: string): PayloadMessage | undefined {
  if (value === undefined) {
    return undefined;
  }
  if (value instanceof Ref) {
    return create(PayloadSchema, { content: { case: "ref", value: value.sha256 } });
  }
  const payload = payloadOf(value, name);
  return create(PayloadSchema, {
    content: payload.isJson
      ? { case: "json", value: payload.text }
      : { case: "binary", value: payload.bytes },
    contentType: payload.contentType,
  });
}

export function payloadValue(message: PayloadMessage): Payload {
  const { content, contentType } = message;
  return content.case === "json"
    ? Payload.json(content.value, contentType)
    : Payload.binary(content.value ?? new Uint8Array(), contentType);
}

export function optionalPayload(message: PayloadMessage | undefined): Payload | undefined {
  return message && payloadValue(message);
}
