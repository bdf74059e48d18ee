/** What answers hold: one value, or a page of a listing. */

import { ProtocolError } from "./errors.js";

/** A part that every answer has; throws `ProtocolError` if it is missing. */
export function present<T>(part: T | undefined): T {
  if (part === undefined) {
    throw new ProtocolError("the server's response lacks its content");
  }
  return part;
}

/** Yield the items of a listing, page by page. */
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
