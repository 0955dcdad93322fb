/** Reads `doorward.yaml` into a frozen configuration, or tells every mistake with its line. */

import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { DoorwardError } from '@doorward/core'
import type { Document, LineCounter } from 'yaml'
import { isNode } from 'yaml'
import type { z } from 'zod'
import { crossProblems } from './cross-check.ts'
import { withCredentials } from './credentials-directory.ts'
import { credentialsDirectory } from './environment.ts'
import { ConfigurationError } from './problem.ts'
import type { CrossProblem, Problem } from './problem.ts'
import { configuration } from './schema.ts'
import type { Configuration } from './schema.ts'
import { dotted, placeOf } from './yaml-place.ts'
import { readYaml } from './yaml-text.ts'

const MAX_BYTES = 1024 * 1024

export interface Loaded {
  /** Absolute path of the file. */
  readonly file: string
  /** Folder of the file; relative paths in it are meant from here. */
  readonly folder: string
  readonly configuration: Configuration
  readonly lineOf?: LineOf
}

/** Line of the deepest key on the path that the file has, from 1. */
export type LineOf = (keys: readonly PropertyKey[]) => number | null

/** Throws `configuration_missing`, `configuration_unreadable` or a ConfigurationError (`configuration_invalid`). */
export async function loadConfiguration(path: string): Promise<Loaded> {
  const file = resolve(path)
  return { file, folder: dirname(file), ...readConfiguration(await readText(file), file) }
}

/** The text of a configuration of any kind. Throws as `loadConfiguration`. */
export async function readText(file: string): Promise<string> {
  try {
    const bytes = await readFile(file)
    if (bytes.length > MAX_BYTES) {
      throw new DoorwardError('configuration_unreadable', 'the configuration is too large', {
        where: file,
        expected: `at most ${MAX_BYTES} bytes`,
        got: `${bytes.length}`,
      })
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof DoorwardError) throw error
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new DoorwardError(
      missing ? 'configuration_missing' : 'configuration_unreadable',
      missing ? 'there is no configuration' : 'the configuration cannot be read',
      {
        where: file,
        ...(missing ? {} : { got: error instanceof Error ? error.message : String(error) }),
        next: missing
          ? 'write one with: doorward init, or name it with --config FILE'
          : 'check that the file is readable and UTF-8',
      },
    )
  }
}

/** Judges the text of a configuration. Throws ConfigurationError with all mistakes. */
export function parseConfiguration(text: string, file: string): Configuration {
  return readConfiguration(text, file).configuration
}

function readConfiguration(
  text: string,
  file: string,
): { readonly configuration: Configuration; readonly lineOf: LineOf } {
  return judged(text, file, {
    schema: configuration,
    whole: crossProblems,
    parts: soundProblems,
  })
}

export interface Judges<Value> {
  readonly schema: z.ZodType<Value>
  /** Mistakes that only show when several keys are read together. */
  readonly whole: (value: Value) => readonly CrossProblem[]
  /** The same between what is sound of a file that is wrong elsewhere; none by default. */
  readonly parts?: (value: unknown, issues: readonly z.core.$ZodIssue[]) => readonly CrossProblem[]
}

/** Reads one document by its schema and freezes it. Throws ConfigurationError with all mistakes. */
export function judged<Value>(
  text: string,
  file: string,
  { schema, whole, parts }: Judges<Value>,
): { readonly configuration: Value; readonly lineOf: LineOf } {
  const { document, lines, problems: unreadable } = readYaml(text)
  if (unreadable.length > 0) throw new ConfigurationError(file, unreadable.toSorted(byLine))
  const value: unknown = withCredentials(document.toJS({ maxAliasCount: 0 }) ?? {}, credentialsDirectory())
  const parsed = schema.safeParse(value)
  const problems = parsed.success
    ? whole(parsed.data).map((problem) => placed(problem, document, lines))
    : [
        ...flatten(parsed.error.issues).map((issue) => problemOf(issue, document, lines)),
        ...(parts?.(value, parsed.error.issues) ?? []).map((problem) => placed(problem, document, lines)),
      ]
  if (problems.length > 0 || !parsed.success) throw new ConfigurationError(file, problems.toSorted(byLine))
  return { configuration: deepFreeze(parsed.data), lineOf: (keys) => lineOf(document, lines, keys) }
}

/** Line of the deepest key on the path that the file has. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number | null {
  return path.length === 0 ? null : (placeOf(document, lines, path)?.line ?? 1)
}

function byLine(a: Problem, b: Problem): number {
  return (a.line ?? 0) - (b.line ?? 0)
}

function placed(problem: CrossProblem, document: Document, lines: LineCounter): Problem {
  return { ...problem, line: lineOf(document, lines, problem.keys), path: dotted(problem.keys) }
}

/** Mistakes between the sections that are sound in themselves, so that one wrong key does not hide them. */
function soundProblems(value: unknown, issues: readonly z.core.$ZodIssue[]): readonly CrossProblem[] {
  if (typeof value !== 'object' || value === null) return []
  const broken = new Set<PropertyKey>(
    issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys' && issue.path.length === 0 ? issue.keys : issue.path.slice(0, 1),
    ),
  )
  if (policyKeys.some((key) => broken.has(key))) return []
  const rest = configuration.safeParse(Object.fromEntries(Object.entries(value).filter(([key]) => !broken.has(key))))
  return rest.success ? crossProblems(rest.data, broken) : []
}

const policyKeys = [
  'trust_domain',
  'servers',
  'services',
  'agents',
  'secrets',
  'roles',
  'bindings',
  'policy',
  'security',
]

function flatten(issues: readonly z.core.$ZodIssue[]): readonly z.core.$ZodIssue[] {
  return issues.flatMap((issue): z.core.$ZodIssue[] =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ ...issue, keys: [key], path: [...issue.path, key] }))
      : issue.code === 'invalid_key'
        ? issue.issues.map((inner) => ({ ...inner, path: issue.path }))
        : [issue],
  )
}

function problemOf(issue: z.core.$ZodIssue, document: Document, lines: LineCounter): Problem {
  const [message = '', expected = null] = wording(issue).split('; expected ')
  return {
    line: lineOf(document, lines, issue.path),
    path: dotted(issue.path),
    message,
    expected,
    got: issue.code === 'unrecognized_keys' ? null : gotOf(document, issue.path),
  }
}

function wording(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return `wrong type; expected ${typeNames.get(issue.expected) ?? issue.expected}`
  if (issue.code === 'too_small') {
    return `too ${isNumber(issue.origin) ? 'small' : 'short'}; expected at least ${issue.minimum}${unitOf(issue.origin)}`
  }
  if (issue.code === 'too_big') {
    return `too ${isNumber(issue.origin) ? 'large' : 'long'}; expected at most ${issue.maximum}${unitOf(issue.origin)}`
  }
  if (issue.code === 'invalid_format' && issue.format === 'url') return 'not a URL; expected an http or https URL'
  return issue.message
}

function isNumber(origin: string): boolean {
  return origin === 'number' || origin === 'int'
}

const typeNames: ReadonlyMap<string, string> = new Map([
  ['object', 'a map'],
  ['record', 'a map'],
  ['array', 'a list'],
  ['string', 'text'],
  ['int', 'a whole number'],
  ['number', 'a number'],
  ['boolean', 'true or false'],
])

function unitOf(origin: string): string {
  return origin === 'array' ? ' entry' : origin === 'string' ? ' characters' : ''
}

/** Below these somebody may have put a secret itself. */
const hidden: ReadonlySet<string> = new Set(['env', 'secrets', 'credential'])

/** What the file has there. Values of variables are not shown: they may be secrets that were put in the wrong place. */
function gotOf(document: Document, path: readonly PropertyKey[]): string | null {
  const mayHold = path[0] === 'secrets' || path[2] === 'credential' || (path[2] === 'env' && path.length > 3)
  if (mayHold) return 'a value that is not shown'
  const node = document.getIn(path, true)
  if (node === undefined) return 'nothing'
  const value: unknown = isNode(node) ? node.toJS(document) : node
  const text = JSON.stringify(value, (key, inner: unknown) => (hidden.has(key) ? '…' : inner)) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
