/** The errors about what is archived, or is not. */

import { RunstoreError } from "./errors.js";

/** Events that were asked for are in the archive: read it, or go on after them. */
export class EventsArchived extends RunstoreError {
  /** The run's first event that is not archived. */
  get firstSeq(): number {
    return Number(this.metadata["first_seq"] ?? 0);
  }

  /** The seq of the run's latest snapshot; 0 if it has none. */
  get snapshotSeq(): number {
    return Number(this.metadata["snapshot_seq"] ?? 0);
  }

  /** The position of the feed from which on nothing is archived; 0 if a run was read. */
  get firstPosition(): number {
    return Number(this.metadata["first_position"] ?? 0);
  }
}

/** The run is not archived, or has no events that could be. */
export class ArchiveNotFound extends RunstoreError {}

/** An archive is not what was written: something else changed it. */
export class ArchiveInvalid extends RunstoreError {
  /** The file that is not. */
  get file(): string {
    return this.metadata["file"] ?? "";
  }

  /** What is wrong with it, for people. */
  get problem(): string {
    return this.metadata["problem"] ?? "";
  }
}
