/** Which version of a config to read. */

import type { CallOptions } from "../transport/connection.js";
import { int64, type Int64 } from "../values/numbers.js";

/** Selects a version by at most one of number, digest and label; by default the latest. */
export interface VersionChoice extends CallOptions {
  readonly version?: Int64;
  readonly digest?: string;
  readonly label?: string;
}

export function selectorOf({ version, digest, label }: VersionChoice) {
  const selectors = [
    version !== undefined && ({ case: "version", value: int64(version) } as const),
    digest !== undefined && ({ case: "digest", value: digest } as const),
    label !== undefined && ({ case: "label", value: label } as const),
  ].filter((each) => each !== false);
  if (selectors.length > 1) {
    throw new TypeError("give only one of version, digest and label");
  }
  const [selector = { case: undefined }] = selectors;
  return selector;
}
