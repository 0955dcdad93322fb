/** Reads Markdown as far as the checks of documents need it: code in text and in blocks, links, and the anchors of headings. */

export interface CodeText {
  readonly line: number
  readonly text: string
  /** That the fence of a block names; empty elsewhere. */
  readonly language: string
}

export interface Markdown {
  /** `like this`, newlines within it as blanks. */
  readonly spans: readonly CodeText[]
  /** Lines of fenced blocks; one that ends in a backslash goes on with the next. */
  readonly blockLines: readonly CodeText[]
  /** Targets of links and pictures. */
  readonly links: readonly CodeText[]
  readonly anchors: ReadonlySet<string>
  /** The text without blocks; what was in them is empty lines. */
  readonly prose: string
}

export function readMarkdown(text: string): Markdown {
  const blockLines: CodeText[] = []
  const prose: string[] = []
  let fence = ''
  let language = ''
  let open: CodeText | null = null
  for (const [i, line] of text.split('\n').entries()) {
    const [, mark = '', named = ''] = /^\s*(```+)(\w*)/.exec(line) ?? []
    if (mark !== '' && (fence === '' || mark === fence)) {
      fence = fence === '' ? mark : ''
      language = named
    } else if (fence !== '') open = codeLine({ line: i + 1, text: line, language }, open, blockLines)
    prose.push(fence !== '' || mark !== '' ? '' : line)
  }
  const joined = prose.join('\n')
  return { spans: spansOf(joined), blockLines, links: linksOf(joined), anchors: anchorsOf(joined), prose: joined }
}

/** What of the line waits for the next one; otherwise the line as a whole is in `into`. */
function codeLine(read: CodeText, open: CodeText | null, into: CodeText[]): CodeText | null {
  const whole = { ...read, line: open?.line ?? read.line, text: `${open?.text ?? ''}${read.text.replace(/\\$/, ' ')}` }
  if (read.text.endsWith('\\')) return whole
  into.push(whole)
  return null
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

/** A span may go over one end of line, never over an empty line. */
function spansOf(prose: string): readonly CodeText[] {
  return [...prose.matchAll(/(`+)((?:(?!\n\s*\n)[^`]|(?!\1)`+)+?)\1(?!`)/g)].map((found) => ({
    line: lineAt(prose, found.index),
    text: (found[2] ?? '').replaceAll(/\s*\n\s*/g, ' ').trim(),
    language: '',
  }))
}

function linksOf(prose: string): readonly CodeText[] {
  const plain = prose.replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, ' '))
  return [...plain.matchAll(/\]\(<?([^)>\s]+)>?(?:\s+"[^"]*")?\)/g)].map((found) => ({
    line: lineAt(plain, found.index),
    text: found[1] ?? '',
    language: '',
  }))
}

/** As GitHub makes them: lower case, without marks, blanks as hyphens. */
function anchorsOf(prose: string): ReadonlySet<string> {
  const found = new Set<string>()
  for (const [, title = ''] of prose.matchAll(/^#{1,6}\s+(.+?)\s*$/gm)) {
    const plain = title.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(/\s/g, '-')
    for (let i = 0; ; i++) {
      const numbered = i === 0 ? anchor : `${anchor}-${i}`
      if (found.has(numbered)) continue
      found.add(numbered)
      break
    }
  }
  return found
}
