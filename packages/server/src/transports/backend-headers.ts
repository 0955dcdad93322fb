/** Which headers pass between a caller and a service: those that are listed, and none that carry who or where somebody is. */

/** Of requests. */
export const requestHeaders: readonly string[] = [
  'accept',
  'accept-language',
  'content-language',
  'content-type',
  'idempotency-key',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-unmodified-since',
  'prefer',
  'range',
]

/** Of answers. */
export const answerHeaders: readonly string[] = [
  'accept-ranges',
  'allow',
  'content-disposition',
  'content-language',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'preference-applied',
  'retry-after',
]

const VALUE = /^[\t\x20-\x7e]{1,4096}$/

/** The listed headers of a head. What has been repeated, or is not visible ASCII, is left out. */
export function listedHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  names: readonly string[],
): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of names) {
    const value = headers[name]
    if (typeof value === 'string' && VALUE.test(value)) kept[name] = value
  }
  return kept
}
