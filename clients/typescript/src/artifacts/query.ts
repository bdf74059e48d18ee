/** Which artifacts to read: one, or a list. */

import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { int64, type Int64 } from "../values/numbers.js";

/** Selects an artifact by its id, or by run, name and version (by default the newest). */
export interface ArtifactChoice {
  readonly artifactId?: string;
  readonly runId?: string;
  readonly name?: string;
  readonly version?: Int64;
}

export const ARTIFACT_CHOICE: check.Checks<ArtifactChoice> = {
  artifactId: check.text,
  runId: check.text,
  name: check.text,
  version: check.int64,
};
export const checkChoice = check.object<ArtifactChoice & CallOptions>("options", {
  ...CALL_OPTIONS,
  ...ARTIFACT_CHOICE,
});

/** The fields of a request that select an artifact. */
export function choiceFields(choice: ArtifactChoice) {
  return {
    artifactId: choice.artifactId ?? "",
    runId: choice.runId ?? "",
    name: choice.name ?? "",
    version: int64(choice.version ?? 0),
  };
}

/** Selects artifacts by their run, type and name. */
export interface ArtifactFilter {
  readonly runId?: string;
  readonly type?: string;
  readonly name?: string;
}

export const checkFilter = check.object<ArtifactFilter & CallOptions>("options", {
  ...CALL_OPTIONS,
  runId: check.text,
  type: check.text,
  name: check.text,
});
