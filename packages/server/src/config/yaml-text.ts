/** The YAML that a configuration may be written in: one document of plain maps, lists and scalars, nothing that refers or constructs. */

import { isAlias, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml'
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
  const options = {
    lineCounter: lines,
    uniqueKeys: true,
    strict: true,
    version: '1.2',
    merge: false,
    logLevel: 'error',
  } as const
  const document: Document<ParsedNode, true> | Document = parseDocument(text, options)
  const problems = [...document.errors, ...document.warnings].map(syntaxProblem)
  return { document, lines, problems: problems.length > 0 ? problems : refusedNodes(document, lines) }
}

function syntaxProblem(error: YAMLError): Problem {
  const line = error.linePos?.[0].line ?? null
  const [first = 'not YAML'] = error.message.split('\n')
  const blank = { line, path: '', expected: null, got: null }
  switch (error.code) {
    case 'MULTIPLE_DOCS':
      return { ...blank, message: 'a second document begins', expected: 'one document, without ---' }
    case 'DUPLICATE_KEY':
      return { ...blank, message: 'a key is repeated', expected: 'each key once' }
    case 'TAG_RESOLVE_FAILED':
      return { ...blank, message: 'tags are not accepted', expected: 'a plain value' }
    default:
      return { ...blank, message: `not YAML: ${first.replace(/ at line [0-9]+, column [0-9]+:?$/, '')}` }
  }
}

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
