/** The errors about what may not be removed, or was, and what says so. */

import { RunstoreError } from "./errors.js";

/** The run has not ended, and only what has ended is removed. */
export class RunOpen extends RunstoreError {}

/** A fork's history begins with the run, so it may not be removed. */
export class RunInUse extends RunstoreError {
  /** One of the forks. */
  get forkRunId(): string {
    return this.metadata["fork_run_id"] ?? "";
  }
}

/** A run of this id was deleted, and no other run ever gets its id. */
export class RunIdReserved extends RunstoreError {}

/** The project has no such hold. */
export class HoldNotFound extends RunstoreError {}

/** The project has no such policy. */
export class PolicyNotFound extends RunstoreError {}

/** The project has no such erasure. */
export class ErasureNotFound extends RunstoreError {}

/** A hold holds the run, so nothing of it may be removed. */
export class RunHeld extends RunstoreError {
  /** One of the holds. */
  get holdId(): string {
    return this.metadata["hold_id"] ?? "";
  }
}
