/** JSON with comments and trailing commas, as editors write it. */

/** Replaces comments and trailing commas by spaces, so that offsets stay; strings are left alone. */
export function withoutComments(text: string): string {
  const out = text.split('')
  let lastComma = -1
  for (let i = 0; i < text.length;) {
    const character = text[i]
    if (character === '"') {
      lastComma = -1
      i = endOfString(text, i)
    } else if (character === '/' && (text[i + 1] === '/' || text[i + 1] === '*')) {
      const end = endOfComment(text, i)
      for (let k = i; k < end; k++) if (text[k] !== '\n') out[k] = ' '
      i = end
    } else {
      if (character === ',') lastComma = i
      else if ((character === '}' || character === ']') && lastComma >= 0) out[lastComma] = ' '
      if (character !== ',' && character !== ' ' && character !== '\n' && character !== '\r' && character !== '\t')
        lastComma = -1
      i++
    }
  }
  return out.join('')
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i + 1
  }
  return text.length
}

function endOfComment(text: string, start: number): number {
  const line = text[start + 1] === '/'
  const end = text.indexOf(line ? '\n' : '*/', start + 2)
  return end < 0 ? text.length : line ? end : end + 2
}
