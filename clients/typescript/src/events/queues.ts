/** What tasks wait on: a gate for all, a room with so many places, an outbox a stream is fed from. */

/** Wakes everybody who waits; what they waited for is for them to look at. */
export class Gate {
  #waiting: (() => void)[] = [];

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  open(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) {
      wake();
    }
  }
}

/** So many places, given to those who wait in the order they came. */
export class Room {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(places: number) {
    this.#free = places;
  }

  /** Wait for a place. */
  async enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  /** Give a place back, at once to who has waited longest. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next) {
      next();
    } else {
      this.#free += 1;
    }
  }
}

/** Items in the order they were put, until the end. Read by one reader. */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #gate = new Gate();
  #items: T[];
  #isEnded = false;

  constructor(items: T[] = []) {
    this.#items = items;
  }

  put(item: T): void {
    this.#items.push(item);
    this.#gate.open();
  }

  end(): void {
    this.#isEnded = true;
    this.#gate.open();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      yield* items;
      if (this.#items.length === 0) {
        if (this.#isEnded) {
          return;
        }
        await this.#gate.wait();
      }
    }
  }
}
