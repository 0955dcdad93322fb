/** The YAML that a configuration may be written in: one document of plain maps, lists and scalars, nothing that refers or constructs. */

import { isAlias, isNode, isScalar, LineCounter, parseAllDocuments, parseDocument, visit } from 'yaml'
import type { Document, Node, ParsedNode, YAMLError } from 'yaml'
import type { Problem } from './problem.ts'

export interface YamlText {
  readonly document: Document
  readonly lines: LineCounter
  /** What is wrong with it as YAML; the content can be read only when there is nothing. */
  readonly problems: readonly Problem[]
}

/**
 * Reads YAML 1.2. Refused beside malformed text: repeated keys, a second document, aliases (one line could stand for
 * gigabytes), tags, and keys that are not text or that JavaScript objects treat apart (`__proto__`).
 */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter()
  const document: Document<ParsedNode> | Document = parseDocument(text, { ...strict, lineCounter: lines })
  return { document, lines, problems: problemsOf(document, lines) }
}

export interface YamlStream {
  /** None for an empty text. */
  readonly documents: readonly Document[]
  readonly lines: LineCounter
  readonly problems: readonly Problem[]
}

/** As `readYaml`, for any number of documents. */
export function readYamlStream(text: string): YamlStream {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { ...strict, lineCounter: lines })
  const documents: readonly Document[] = Array.isArray(parsed) ? parsed : []
  return { documents, lines, problems: documents.flatMap((document) => problemsOf(document, lines)) }
}

const strict = { uniqueKeys: true, strict: true, version: '1.2', merge: false, logLevel: 'error' } as const

function problemsOf(document: Document, lines: LineCounter): readonly Problem[] {
  const problems = [...document.errors, ...document.warnings].map(syntaxProblem)
  return problems.length > 0 ? problems : refusedNodes(document, lines)
}

function syntaxProblem(error: YAMLError): Problem {
  const line = error.linePos?.[0].line ?? null
  const [first = 'not YAML'] = error.message.split('\n')
  const known = syntaxWording.get(error.code)
  const other = `not YAML: ${first.replace(/ at line [0-9]+, column [0-9]+:?$/, '')}`
  return { line, path: '', message: known?.message ?? other, expected: known?.expected ?? null, got: null }
}

/** Mistakes for which we have better words than the parser. */
const syntaxWording: ReadonlyMap<string, { readonly message: string; readonly expected: string }> = new Map([
  ['MULTIPLE_DOCS', { message: 'a second document begins', expected: 'one document, without ---' }],
  ['DUPLICATE_KEY', { message: 'a key is repeated', expected: 'each key once' }],
  ['TAG_RESOLVE_FAILED', { message: 'tags are not accepted', expected: 'a plain value' }],
])

function refusedNodes(document: Document, lines: LineCounter): readonly Problem[] {
  const problems: Problem[] = []
  const refuse = (node: Node, message: string, expected: string, got: string) => {
    const offset = node.range?.[0]
    problems.push({ line: offset === undefined ? null : lines.linePos(offset).line, path: '', message, expected, got })
  }
  visit(document, {
    Alias: (_, node) => refuse(node, 'aliases are not accepted', 'the value itself', `*${node.source}`),
    Node: (_, node) => {
      if (!isAlias(node) && node.tag !== undefined) refuse(node, 'tags are not accepted', 'a plain value', node.tag)
    },
    Pair: (_, { key }) => {
      if (isNode(key) && !isAlias(key) && !isPlainKey(key)) refuse(key, 'not a key', 'a plain name', String(key))
    },
  })
  return problems
}

function isPlainKey(key: Node): boolean {
  return isScalar(key) && typeof key.value === 'string' && key.value !== '__proto__'
}
