/** Cedar's published decision cases: decision, determining policies and errors must all be equal. */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileExpression } from '../../packages/core/src/policy/cedar/compile-expression.ts'
import { readExpression, readPolicy } from '../../packages/core/src/policy/cedar/expression.ts'
import { PolicySet } from '../../packages/core/src/policy/cedar/policy-set.ts'
import { EntityUid } from '../../packages/core/src/policy/cedar/value.ts'
import type { CedarRecord, Value } from '../../packages/core/src/policy/cedar/value.ts'
import type { Entity, World } from '../../packages/core/src/policy/cedar/world.ts'
import type { VectorOptions, VectorReport } from './report.ts'

const USUAL_PATH = join(import.meta.dirname, '../../../shared/vectors/cedar-corpus.tar.gz')
/** Allowed requests of the usual set. */
const MINIMUM = 12_000

interface Uid {
  readonly type: string
  readonly id: string
}

interface CorpusRequest {
  readonly description: string
  readonly principal: Uid
  readonly action: Uid
  readonly resource: Uid
  readonly context: unknown
  readonly decision: string
  readonly reason: readonly string[]
  readonly errors: readonly string[]
}

interface CorpusEntity {
  readonly uid: Uid | { readonly __entity: Uid }
  readonly attrs: object
  readonly tags?: object
  readonly parents: readonly (Uid | { readonly __entity: Uid })[]
}

type Parsed<T> = ({ readonly type: 'success' } & T) | { readonly type: 'failure' }

/** What of the official build is used here: it parses, and decides nothing. */
interface Parser {
  readonly policySetTextToParts: (
    text: string,
  ) => Parsed<{ readonly policies: readonly string[]; readonly policy_templates: readonly string[] }>
  readonly policyToJson: (text: string) => Parsed<{ readonly json: unknown }>
  readonly schemaToJson: (text: string) => Parsed<{ readonly json: Readonly<Record<string, Schema>> }>
}

interface Schema {
  readonly actions?: Readonly<Record<string, { readonly memberOf?: readonly Partial<Uid>[] }>>
}

/** Runs the archive, or a folder with the same files. */
export async function run(options: VectorOptions): Promise<VectorReport> {
  const path = options.path ?? USUAL_PATH
  if (options.path === undefined && !existsSync(path)) {
    const nothing = { passed: 0, failed: 0, wrongAccepts: [], wrongRejects: [], minimum: 0 }
    return { suite: 'cedar', ...nothing, notice: `no vectors at ${path}` }
  }
  const folder = path.endsWith('.tar.gz') ? await mkdtemp(join(tmpdir(), 'doorward-cedar-')) : null
  try {
    if (folder !== null) unpack(path, folder)
    return await judgeAll(folder === null ? path : join(folder, 'corpus-tests'), options.path === undefined)
  } finally {
    if (folder !== null) await rm(folder, { recursive: true, force: true })
  }
}

function unpack(archive: string, folder: string): void {
  const { status, stderr } = spawnSync('tar', ['-xzf', archive, '-C', folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`tar: ${stderr}`)
}

async function judgeAll(folder: string, usual: boolean): Promise<VectorReport> {
  const names = (await readdir(folder)).filter((name) => /^[0-9a-f]+\.json$/.test(name)).toSorted()
  const wrongAccepts: string[] = []
  const wrongRejects: { id: string; reason: string }[] = []
  let [requests, allowed] = [0, 0]
  await withExactLongs(async () => {
    const parser = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as Parser
    for (const name of names) {
      const stem = name.slice(0, -'.json'.length)
      const read = async (suffix: string) => await readFile(join(folder, `${stem}${suffix}`), 'utf8')
      const set = policySet(parser, await read('.cedar'))
      const entities = entitiesOf(parser, await read('.entities.json'), await read('.cedarschema'))
      for (const request of (JSON.parse(await read('.json')) as { readonly requests: readonly CorpusRequest[] })
        .requests) {
        const { decision, reasons, errors } = set.authorize(worldOf(request, entities))
        const got = textOf(
          decision,
          reasons,
          errors.map(({ policyId }) => policyId),
        )
        const expected = textOf(request.decision, request.reason, request.errors)
        requests++
        if (decision === 'allow') allowed++
        if (got === expected) continue
        const id = `${stem} ${request.description}`
        if (decision === 'allow' && request.decision !== 'allow') wrongAccepts.push(id)
        else wrongRejects.push({ id, reason: `expected ${expected}, got ${got}` })
      }
    }
  })
  const minimum = usual ? MINIMUM : 0
  const differences = wrongAccepts.length + wrongRejects.length
  return {
    suite: 'cedar',
    passed: requests - differences,
    failed: Math.max(differences, minimum - allowed),
    wrongAccepts,
    wrongRejects,
    minimum,
    notice: `${requests} requests of ${names.length} cases, ${allowed} allowed`,
  }
}

/** The official build hands JSON over as text and reads it with `JSON.parse`, which rounds longs beyond 53 bits. */
async function withExactLongs(work: () => Promise<void>): Promise<void> {
  const parse = JSON.parse
  const exact = (_name: string, value: unknown, { source }: { readonly source: string }): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) ? BigInt(source) : value
  JSON.parse = (text: string) => (parse as (text: string, reviver: typeof exact) => unknown)(text, exact)
  try {
    await work()
  } finally {
    JSON.parse = parse
  }
}

function policySet(parser: Parser, text: string): PolicySet {
  const parts = parser.policySetTextToParts(text)
  if (parts.type !== 'success' || parts.policy_templates.length > 0) throw new Error('expected static policies')
  return new PolicySet(
    parts.policies.map((policy, i) => {
      const parsed = parser.policyToJson(policy)
      if (parsed.type !== 'success') throw new Error('a policy that was parsed has no JSON')
      return readPolicy(`policy${i}`, parsed.json)
    }),
  )
}

type Entities = ReadonlyMap<string, Entity>

/** Those of the file, and the actions of the schema. */
function entitiesOf(parser: Parser, text: string, schemaText: string): Entities {
  const found = new Map<string, Entity & { readonly parents: readonly string[] }>()
  for (const { uid, attrs, tags = {}, parents } of JSON.parse(text) as readonly CorpusEntity[]) {
    const above = parents.map((parent) => uidOf(parent).key)
    found.set(uidOf(uid).key, {
      attributes: recordOf(attrs),
      tags: recordOf(tags),
      ancestors: new Set(),
      parents: above,
    })
  }
  const schema = parser.schemaToJson(schemaText)
  if (schema.type !== 'success') throw new Error('expected a schema')
  for (const [namespace, { actions = {} }] of Object.entries(schema.json)) {
    const type = namespace === '' ? 'Action' : `${namespace}::Action`
    for (const [name, { memberOf }] of Object.entries(actions)) {
      const above = (memberOf ?? []).map((group) => new EntityUid(group.type ?? type, group.id ?? '').key)
      const { key } = new EntityUid(type, name)
      if (!found.has(key))
        found.set(key, { attributes: new Map(), tags: new Map(), ancestors: new Set(), parents: above })
    }
  }
  const climb = (key: string, into: Set<string>): Set<string> => {
    for (const parent of found.get(key)?.parents ?? []) if (!into.has(parent)) climb(parent, into.add(parent))
    return into
  }
  return new Map([...found].map(([key, entity]) => [key, { ...entity, ancestors: climb(key, new Set()) }]))
}

function worldOf({ principal, action, resource, context }: CorpusRequest, entities: Entities): World {
  return {
    principal: uidOf(principal),
    action: uidOf(action),
    resource: uidOf(resource),
    context: recordOf(context as object),
    entity: ({ key }) => entities.get(key) ?? null,
  }
}

function uidOf(uid: CorpusEntity['uid']): EntityUid {
  const { type, id } = '__entity' in uid ? uid.__entity : uid
  return new EntityUid(type, id)
}

function recordOf(members: object): CedarRecord {
  return new Map(Object.entries(members).map(([name, value]) => [name, valueOf(value)]))
}

/** Values are constant, so nothing of the world is looked at. */
function valueOf(json: unknown): Value {
  return compileExpression(readExpression({ Value: json }, 0))(undefined as never)
}

function textOf(decision: string, reasons: readonly string[], errors: readonly string[]): string {
  return JSON.stringify([decision, reasons.toSorted(), errors.toSorted()])
}
