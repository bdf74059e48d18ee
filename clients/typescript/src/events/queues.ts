/** What tasks wait on: a gate, a number of slots, a queue that feeds a stream. */

/** Wakes all waiting tasks, which then check what they waited for. */
export class Gate {
  #waiting: (() => void)[] = [];

  /** Wait until the gate is opened. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Wake all that wait. */
  open(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) {
      wake();
    }
  }
}

/** A number of slots, given to waiting tasks in the order in which they arrived. */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  /** Wait for a slot and take it. */
  async enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  /** Give a slot back, to the task that has waited longest. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next) {
      next();
    } else {
      this.#free += 1;
    }
  }
}

/** Items in the order in which they were put, until the end. Has one reader. */
export class Queue<T> implements AsyncIterable<T> {
  readonly #gate = new Gate();
  #items: T[];
  #isEnded = false;

  constructor(items: T[] = []) {
    this.#items = items;
  }

  /** Add an item, which the reader gets once it has those before. */
  put(item: T): void {
    this.#items.push(item);
    this.#gate.open();
  }

  /** Let the reader end once it has all items. */
  end(): void {
    this.#isEnded = true;
    this.#gate.open();
  }

  /** The items as they are put. */
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
