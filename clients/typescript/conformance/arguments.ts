/** Of a step's arguments, those that are options of the client's call. */

export interface Waiting {
  readonly waitSeconds?: number;
}

export function waiting({ waitSeconds }: Waiting) {
  return waitSeconds === undefined ? {} : { waitMs: waitSeconds * 1000 };
}

/** The arguments that are a call's options: the others are the runner's. */
export function options<T extends object>(args: T): T {
  const own = ["runId", "writerEpoch", "watch", "waitSeconds"];
  return Object.fromEntries(Object.entries(args).filter(([name]) => !own.includes(name))) as T;
}
