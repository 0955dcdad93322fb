/** What a request says that its body is. */

/**
 * The type itself, with at most `charset=utf-8` beside it: bodies are read as UTF-8 here, and whoever is told of another
 * character set reads something else than was judged.
 */
export function isMediaType(header: string | undefined, expected: string): boolean {
  const [type = '', ...parameters] = (header ?? '').toLowerCase().split(';')
  return type.trim() === expected && parameters.every((parameter) => UTF_8.test(parameter.trim()))
}

/** With or without quotes, which mean the same (RFC 9110 §8.3.1). */
const UTF_8 = /^charset=(?:utf-8|"utf-8")$/
