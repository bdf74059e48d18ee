/** What is asked about a run that has ended, if it is as it was seen: to delete it, or archive it. */

import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { optionalInt64, type Int64 } from "../values/numbers.js";

interface EndedRunOptions extends CallOptions {
  readonly expectedLastSeq?: Int64 | undefined;
  readonly requestId?: string;
}

const checkEnded = check.object<EndedRunOptions>("options", {
  ...CALL_OPTIONS,
  expectedLastSeq: check.int64,
  requestId: check.text,
});

export function endedRunRequest(
  project: string,
  runId: string,
  reason: string,
  options: EndedRunOptions,
) {
  check.text(runId, "runId");
  check.text(reason, "reason");
  checkEnded(options);
  const expectedLastSeq = optionalInt64(options.expectedLastSeq);
  return {
    project,
    runId,
    reason,
    requestId: options.requestId || newId(),
    ...(expectedLastSeq === undefined ? {} : { expectedLastSeq }),
  };
}
