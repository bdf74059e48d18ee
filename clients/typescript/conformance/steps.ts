/** What a step may do, by its name; the arguments have the forms that the README gives them. */
export type Steps = Record<string, ((args: never) => unknown) | undefined>;

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) {
    collected.push(item);
  }
  return collected;
}
