/** Name patterns: a literal text in which `*` stands for any characters, none included. Linear, no regular expression. */

/** The text between the stars; one part means a literal. */
export interface NamePattern {
  readonly text: string
  readonly parts: readonly string[]
}

const MAX_PATTERN = 1024

function isControl(code: number): boolean {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029
}

/** What makes the text unfit to name or match a name; null when it is fit. */
export function nameProblem(text: string): string | null {
  if (text === '') return 'an empty name'
  if (text.length > MAX_PATTERN) return `a name of ${text.length} characters, at most ${MAX_PATTERN} are allowed`
  if (!text.isWellFormed()) return 'a name that is not well-formed Unicode'
  for (let i = 0; i < text.length; i++) if (isControl(text.charCodeAt(i))) return 'a control character in a name'
  return text.trim() === text ? null : 'white space around a name'
}

/** Never throws: a pattern, or what is wrong with the text. */
export function readNamePattern(text: string): NamePattern | { readonly problem: string } {
  const problem = nameProblem(text)
  return problem === null ? { text, parts: text.split('*') } : { problem }
}

/** True when the whole name matches. Characters are compared as they are: no case folding, no normalisation. */
export function matchesName(pattern: NamePattern, name: string): boolean {
  const { parts } = pattern
  const first = parts[0] ?? ''
  if (parts.length === 1) return name === first
  const last = parts[parts.length - 1] ?? ''
  const end = name.length - last.length
  if (end < first.length || !name.startsWith(first) || !name.endsWith(last)) return false
  let position = first.length
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] ?? ''
    const found = name.indexOf(part, position)
    if (found < 0 || found + part.length > end) return false
    position = found + part.length
  }
  return true
}
