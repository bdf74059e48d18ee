/** What answers hold: one thing, or a page of a listing. */

import { ProtocolError } from "./errors.js";

/** What an answer always holds. */
export function present<T>(part: T | undefined): T {
  if (part === undefined) {
    throw new ProtocolError("the server's answer lacks its content");
  }
  return part;
}

/** Yield what a listing holds, page by page. */
export async function* pages<Page extends { readonly nextPageToken: string }, Item>(
  page: (pageToken: string) => Promise<Page>,
  items: (answer: Page) => Iterable<Item>,
): AsyncGenerator<Item, void, undefined> {
  let pageToken = "";
  do {
    const answer = await page(pageToken);
    yield* items(answer);
    pageToken = answer.nextPageToken;
  } while (pageToken);
}
