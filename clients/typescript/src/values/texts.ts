/**
 * Throw TypeError for text without a UTF-8 form, anywhere in a message.
 *
 * The encoder would silently replace a lone surrogate by U+FFFD, and the store would keep a different
 * text; two ids could become one.
 */
export function checkText(value: unknown, path = "request"): void {
  if (typeof value === "string") {
    if (!value.isWellFormed()) {
      throw new TypeError(`${path} holds a lone surrogate, which has no UTF-8 form`);
    }
  } else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    for (const [key, each] of Object.entries(value)) {
      checkText(key, `a key of ${path}`);
      checkText(each, `${path}.${key}`);
    }
  }
}
