/** Where in the text of a policy something is said. */

/** Where the entity is named; `start` (`<file>:<line>:<column>` of the text) when it is spelled in another way. */
export function entityMention(
  text: string,
  start: string,
  { type, id }: { readonly type: string; readonly id: string },
): string {
  const [, name = '', line = '1', column = '1'] = /^(.*):(\d+):(\d+)$/s.exec(start) ?? []
  const at = text.indexOf(`${type}::${JSON.stringify(id)}`)
  if (at < 0) return start
  const before = text.slice(0, at).split('\n')
  const last = (before.at(-1) ?? '').length
  const across = before.length === 1 ? Number(column) + last : last + 1
  return `${name}:${Number(line) + before.length - 1}:${across}`
}
