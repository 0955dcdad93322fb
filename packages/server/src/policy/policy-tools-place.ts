/** Where in the text of a policy something is said. */

/** Where the entity is named; `start` (`<file>:<line>:<column>` of the text) when it is spelled in another way. */
export function entityMention(
  text: string,
  start: string,
  { type, id }: { readonly type: string; readonly id: string },
): string {
  return placeAt(text, start, text.indexOf(`${type}::${JSON.stringify(id)}`))
}

/** Where the argument is asked for; `start` when it is spelled in another way. */
export function argumentMention(text: string, start: string, name: string): string {
  const asked = /\bhas\s+(?:[A-Za-z_][A-Za-z0-9_]*\s*\.\s*)*(?:"(?<quoted>[^"\\]*)"|(?<plain>[A-Za-z_][A-Za-z0-9_]*))/g
  for (const { index, 0: whole, groups } of text.matchAll(asked)) {
    const found = groups?.['quoted'] ?? groups?.['plain']
    const quotes = groups?.['quoted'] === undefined ? 0 : 1
    if (found === name) return placeAt(text, start, index + whole.length - name.length - 2 * quotes)
  }
  return start
}

/** `index` characters from `start`, where the text begins; `start` where it is negative. */
function placeAt(text: string, start: string, at: number): string {
  if (at < 0) return start
  const [, name = '', line = '1', column = '1'] = /^(.*):(\d+):(\d+)$/s.exec(start) ?? []
  const before = text.slice(0, at).split('\n')
  const last = (before.at(-1) ?? '').length
  const across = before.length === 1 ? Number(column) + last : last + 1
  return `${name}:${Number(line) + before.length - 1}:${across}`
}
