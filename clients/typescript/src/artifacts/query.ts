/** Which artifacts: one, or a list. */

import { int64, type Int64 } from "../values/numbers.js";

/** Which artifact: by its id, or by run, name and version (the newest without). */
export interface ArtifactChoice {
  readonly artifactId?: string;
  readonly runId?: string;
  readonly name?: string;
  readonly version?: Int64;
}

/** The request's fields that name an artifact. */
export function choiceFields(choice: ArtifactChoice) {
  return {
    artifactId: choice.artifactId ?? "",
    runId: choice.runId ?? "",
    name: choice.name ?? "",
    version: int64(choice.version ?? 0),
  };
}

/** Which artifacts: of a run, of a type, versions of a name. */
export interface ArtifactFilter {
  readonly runId?: string;
  readonly type?: string;
  readonly name?: string;
}
