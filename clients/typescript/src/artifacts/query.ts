/** Which artifacts to read: one, or a list. */

import { int64, type Int64 } from "../values/numbers.js";

/** Selects an artifact by its id, or by run, name and version (by default the newest). */
export interface ArtifactChoice {
  readonly artifactId?: string;
  readonly runId?: string;
  readonly name?: string;
  readonly version?: Int64;
}

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
