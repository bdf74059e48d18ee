/** Which version of a config to read. */

import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { int64, type Int64 } from "../values/numbers.js";

/** Selects a version by at most one of number, digest and label; by default the latest. */
export interface VersionChoice extends CallOptions {
  readonly version?: Int64;
  readonly digest?: string;
  readonly label?: string;
}

const checkChoice = check.object<VersionChoice>("choice", {
  ...CALL_OPTIONS,
  version: check.int64,
  digest: check.text,
  label: check.text,
});

export function selectorOf(choice: VersionChoice) {
  checkChoice(choice);
  const { version, digest, label } = choice;
  const selectors = [
    version !== undefined && ({ case: "version", value: int64(version) } as const),
    digest !== undefined && ({ case: "digest", value: digest } as const),
    label !== undefined && ({ case: "label", value: label } as const),
  ].filter((each) => each !== false);
  if (selectors.length > 1) {
    const names = selectors.map((each) => each.case).join(" and ");
    throw new check.InvalidArgument(names, "only one of them selects a version");
  }
  const [selector = { case: undefined }] = selectors;
  return selector;
}
