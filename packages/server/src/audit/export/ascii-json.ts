/** JSON that passes through anything that takes lines of text. */

// oxlint-disable-next-line no-control-regex -- what may stand as it is: printable ASCII
const other = /[^\u0020-\u007e]/g

/** JSON in one line of printable ASCII: every other character is escaped, so that it comes back as it was. */
export function asciiJson(value: object): string {
  return JSON.stringify(value).replaceAll(
    other,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
