/**
 * When a failed call is tried again: one policy for all of the client.
 *
 * Every write carries ids made by the client, so a write whose answer was lost can be repeated; only
 * failures that a later try may mend are.
 */

import { Overloaded, Unavailable } from "./errors.js";

/** Exponential delays with jitter, in milliseconds. */
export class Backoff {
  constructor(
    private readonly first = 50,
    private readonly factor = 2,
    private readonly most = 2000,
  ) {}

  /** How long to wait before the try after `attempt` (1, 2, ...); undefined means do not. */
  delay(attempt: number, error: unknown): number | undefined {
    if (!(error instanceof Unavailable || error instanceof Overloaded)) {
      return undefined;
    }
    const ceiling = Math.min(this.most, this.first * this.factor ** Math.min(attempt - 1, 16));
    const jittered = ceiling * (0.5 + Math.random() / 2);
    return Math.max(jittered, error.retryAfterMs ?? 0);
  }
}

/**
 * Failures in a row of a stream that has to go on.
 *
 * Time counts from the first failure after a success: a caller who is slow between two messages
 * uses none of it up.
 */
export class Patience {
  #failures = 0;
  #failingSince = 0;

  constructor(
    private readonly milliseconds: number,
    private readonly backoff: Backoff,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Forget the failures: the stream went on, or nobody waits for it. */
  renew(): void {
    this.#failures = 0;
  }

  /** How long to wait before the stream is opened again; undefined when it is given up. */
  delay(error: unknown): number | undefined {
    const now = this.now();
    if (this.#failures === 0) {
      this.#failingSince = now;
    }
    this.#failures += 1;
    const isUsedUp = now - this.#failingSince > this.milliseconds;
    return isUsedUp ? undefined : this.backoff.delay(this.#failures, error);
  }
}

/** Wait; an abort ends it early, and the caller looks at the signal. */
export async function pause(milliseconds: number, ...signals: (AbortSignal | undefined)[]) {
  const given = signals.filter((signal) => signal !== undefined);
  if (given.some((signal) => signal.aborted)) {
    return;
  }
  await new Promise<void>((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      for (const signal of given) {
        signal.removeEventListener("abort", wake);
      }
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    for (const signal of given) {
      signal.addEventListener("abort", wake);
    }
  });
}
