/** Reads TypeScript as text: which characters are code, which comment or string, and which modules it imports. */

/** Text of the same length and lines as `source`, with the content of comments and of string literals blanked. */
export function codeOnly(source: string): string {
  const out = source.split('')
  const blank = (from: number, to: number): void => {
    for (let at = from; at < to; at++) if (out[at] !== '\n') out[at] = ' '
  }
  scanCode(source, 0, blank)
  return out.join('')
}

type Blank = (from: number, to: number) => void

/** Scans code from `start` up to the end, or up to the `}` that closes the template hole it began in. */
function scanCode(source: string, start: number, blank: Blank, inHole = false): number {
  let depth = 0
  for (let at = start; at < source.length;) {
    const char = source[at]!
    const end = literalEnd(source, at, blank)
    if (end > at) {
      at = end
      continue
    }
    if (char === '{') depth++
    if (char === '}' && inHole && depth-- === 0) return at
    at++
  }
  return source.length
}

/** Where the comment, string, template or regular expression that begins at `at` ends; `at` where none begins. */
function literalEnd(source: string, at: number, blank: Blank): number {
  const char = source[at]
  if (source.startsWith('//', at)) return blankTo(lineEnd(source, at), at, blank)
  if (source.startsWith('/*', at)) {
    const close = source.indexOf('*/', at + 2)
    return blankTo(close < 0 ? source.length : close + 2, at, blank)
  }
  if (char === "'" || char === '"') return quotedEnd(source, at, char, blank)
  if (char === '`') return templateEnd(source, at, blank)
  if (char === '/' && startsRegex(source, at)) return regexEnd(source, at, blank)
  return at
}

function blankTo(end: number, from: number, blank: Blank): number {
  blank(from, end)
  return end
}

function lineEnd(source: string, at: number): number {
  const end = source.indexOf('\n', at)
  return end < 0 ? source.length : end
}

function quotedEnd(source: string, at: number, quote: string, blank: Blank): number {
  let end = at + 1
  while (end < source.length && source[end] !== quote && source[end] !== '\n') end += source[end] === '\\' ? 2 : 1
  blank(at + 1, end)
  return end + 1
}

function templateEnd(source: string, start: number, blank: Blank): number {
  let from = start + 1
  for (let at = from; at < source.length;) {
    if (source[at] === '\\') at += 2
    else if (source[at] === '`') return blankTo(at, from, blank) + 1
    else if (source.startsWith('${', at)) {
      blank(from, at)
      at = scanCode(source, at + 2, blank, true) + 1
      from = at
    } else at++
  }
  return source.length
}

/** A slash begins a regular expression where no value can have ended before it. */
function startsRegex(source: string, at: number): boolean {
  const before = source.slice(Math.max(0, at - 40), at).trimEnd()
  if (before === '' || /[([{,;:=!&|?+\-*%<>~^]$/.test(before)) return true
  return /\b(return|typeof|case|in|of|void|throw|await)$/.test(before)
}

function regexEnd(source: string, start: number, blank: Blank): number {
  let inClass = false
  for (let at = start + 1; at < source.length && source[at] !== '\n'; at++) {
    if (source[at] === '\\') at++
    else if (source[at] === '[') inClass = true
    else if (source[at] === ']') inClass = false
    else if (source[at] === '/' && !inClass) return blankTo(at, start + 1, blank) + 1
  }
  return start + 1
}

export interface ModuleImport {
  readonly specifier: string
  /** True where nothing of it is left when the types are stripped. */
  readonly typeOnly: boolean
  /** From 1. */
  readonly line: number
}

const statement =
  /(?<![\w.$])(import|export)\s+(type\s+(?!from\b))?((?:[\w$*\s,]|\{[^{}]*\})*?)(?:\bfrom\s*)?(['"])( *)\4/g
const expression = /(?<![\w.$])(typeof\s+)?import\s*\(\s*(['"])( *)\2/g

/** Every module that `source` imports or re-exports, in order; `import()` of something computed is not seen. */
export function moduleImports(source: string): readonly ModuleImport[] {
  const code = codeOnly(source)
  const found: ModuleImport[] = []
  const add = (match: RegExpExecArray, blanks: string, typeOnly: boolean): void => {
    const end = match.index + match[0].length - 1
    const specifier = source.slice(end - blanks.length, end)
    found.push({ specifier, typeOnly, line: source.slice(0, end).split('\n').length })
  }
  for (const match of code.matchAll(statement)) {
    const [, keyword, type, clause = '', , blanks = ''] = match
    // `export const x = '…'` has no clause that a module could follow.
    if (keyword === 'export' && !/[*}]\s*$|\bas\s+[\w$]+\s*$/.test(clause)) continue
    add(match, blanks, type !== undefined || onlyTypes(clause))
  }
  for (const match of code.matchAll(expression)) add(match, match[3] ?? '', match[1] !== undefined)
  return found.toSorted((a, b) => a.line - b.line)
}

/** `{ type A, type B }`: verbatimModuleSyntax leaves a bare import of it, but no value. */
function onlyTypes(clause: string): boolean {
  const named = /^\s*\{([^{}]*)\}\s*$/.exec(clause)?.[1]
  if (named === undefined) return false
  const names = named
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  return names.length > 0 && names.every((name) => name.startsWith('type '))
}
