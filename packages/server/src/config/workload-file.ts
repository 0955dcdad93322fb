/** The files of `doorward workload apply`: documents or lists of workloads, in the form of the admin API. */

import { readFile } from 'node:fs/promises'
import { DoorwardError, isJsonObject, readWorkloadDocument, workloadLimits } from '@doorward/core'
import type { DocumentProblem, JsonObject, JsonValue, TrustDomain, WorkloadDocument } from '@doorward/core'
import { isSeq, stringify } from 'yaml'
import type { Document, LineCounter } from 'yaml'
import { ConfigurationError } from './problem.ts'
import type { Problem } from './problem.ts'
import { dotted, placeOf, startOf } from './yaml-place.ts'
import type { YamlPlace } from './yaml-place.ts'
import { readYamlStream } from './yaml-text.ts'

const MAX_BYTES = 4 * 1024 * 1024
const MAX_WORKLOADS = 10_000

/** The text of a file, or of a stream that was named `-`. Throws `configuration_missing`, `configuration_unreadable`. */
export async function readWorkloadText(file: string, stream: AsyncIterable<Uint8Array>): Promise<string> {
  try {
    const bytes = file === '-' ? await readBounded(stream) : await readFile(file)
    if (bytes.length > MAX_BYTES) throw tooLarge(file)
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof DoorwardError) throw error
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new DoorwardError(
      missing ? 'configuration_missing' : 'configuration_unreadable',
      missing ? 'there is no such file' : 'the file cannot be read',
      { where: file, got: error instanceof Error ? error.message : String(error) },
    )
  }
}

async function readBounded(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of stream) {
    parts.push(part)
    length += part.length
    if (length > MAX_BYTES) throw tooLarge('-')
  }
  return Buffer.concat(parts)
}

function tooLarge(file: string): DoorwardError {
  return new DoorwardError('configuration_unreadable', 'the file is too large', {
    where: file,
    expected: `at most ${MAX_BYTES} bytes`,
  })
}

/** All workloads of the text, sorted by id. Throws ConfigurationError with every mistake, each with line and column. */
export function parseWorkloads(text: string, file: string, trustDomain: TrustDomain): readonly WorkloadDocument[] {
  const { documents, lines, problems } = readYamlStream(text)
  const found = problems.length > 0 ? [] : documents.flatMap((document) => itemsOf(document, lines))
  const read = found.map((item) => ({ item, workload: readItem(item, trustDomain) }))
  const mistakes = [
    ...problems,
    ...read.flatMap(({ item, workload }) =>
      'problems' in workload ? workload.problems.map((problem) => placed(item, problem)) : [],
    ),
    ...repetitions(read),
    ...(found.length > MAX_WORKLOADS ? [tooMany(found.length)] : []),
  ]
  if (mistakes.length > 0) throw new ConfigurationError(file, mistakes.toSorted(byPlace), NEXT)
  return read
    .flatMap(({ workload }) => ('problems' in workload ? [] : [workload]))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

const NEXT = 'mend the lines above, then look at it with: doorward workload apply --dry-run'

/** One workload in the file: a document, or an item of one that is a list. */
interface Item {
  readonly document: Document
  readonly lines: LineCounter
  /** Keys from the document down to it. */
  readonly path: readonly number[]
  readonly value: JsonValue
}

function itemsOf(document: Document, lines: LineCounter): readonly Item[] {
  const value = document.toJS({ maxAliasCount: 0 }) as JsonValue
  if (value === null) return []
  if (!isSeq(document.contents)) return [{ document, lines, path: [], value }]
  return (value as readonly JsonValue[]).map((item, i) => ({ document, lines, path: [i], value: item }))
}

function readItem({ value }: Item, trustDomain: TrustDomain): ReturnType<typeof readWorkloadDocument> {
  return readWorkloadDocument(withFullId(value, trustDomain), { trustDomain, reserved: false })
}

/** `agent/planner` is short for the id in our trust domain. */
function withFullId(value: JsonValue, trustDomain: TrustDomain): JsonValue {
  if (!isJsonObject(value)) return value
  const { id } = value
  return typeof id === 'string' && !id.includes('://') ? { ...value, id: `spiffe://${trustDomain}/${id}` } : value
}

function placed(item: Item, { keys, message, expected, got }: DocumentProblem): Problem {
  return problemAt(item, keys, { message, expected, got })
}

function problemAt(
  { document, lines, path }: Item,
  keys: readonly (string | number)[],
  what: Pick<Problem, 'message' | 'expected' | 'got'>,
): Problem {
  const all = [...path, ...keys]
  const place: YamlPlace = placeOf(document, lines, all) ?? startOf(document, lines) ?? { line: 1, column: 1 }
  return { ...what, line: place.line, column: place.column, path: dotted(all) }
}

function repetitions(
  read: readonly { readonly item: Item; readonly workload: ReturnType<typeof readWorkloadDocument> }[],
): readonly Problem[] {
  const seen = new Set<string>()
  return read.flatMap(({ item, workload }) => {
    if ('problems' in workload) return []
    const repeated = seen.has(workload.id)
    seen.add(workload.id)
    return repeated
      ? [problemAt(item, ['id'], { message: 'repeated', expected: 'each workload once', got: workload.id })]
      : []
  })
}

function tooMany(count: number): Problem {
  return { line: null, path: '', message: 'too many workloads', expected: `at most ${MAX_WORKLOADS}`, got: `${count}` }
}

function byPlace(a: Problem, b: Problem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}

/** What `parseWorkloads` reads back as the same. What has its default is left out. */
export function workloadsYaml(workloads: readonly WorkloadDocument[], trustDomain: TrustDomain): string {
  if (workloads.length === 0) return '[]\n'
  return stringify(
    workloads.map((workload) => shortDocument(workload, trustDomain)),
    { lineWidth: 0, version: '1.2', aliasDuplicateObjects: false },
  )
}

/** The document without its defaults, its id without the trust domain. */
export function shortDocument(workload: WorkloadDocument, trustDomain: TrustDomain): JsonObject {
  const { id, ...rest } = workload
  const members = Object.entries(rest).filter(([name, value]) => JSON.stringify(value) !== defaults.get(name))
  return { id: id.replace(`spiffe://${trustDomain}/`, ''), ...Object.fromEntries(members) }
}

const defaults: ReadonlyMap<string, string> = new Map(
  Object.entries({
    roles: [],
    ttl_seconds: workloadLimits.defaultTtlSeconds,
    dns_names: [],
    ip_addresses: [],
    shared_names: false,
    attest: [{ join_token: true }],
    single_instance: false,
    canary: false,
    audiences: [],
  } satisfies Omit<WorkloadDocument, 'id'>).map(([name, value]) => [name, JSON.stringify(value)]),
)
