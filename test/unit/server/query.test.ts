/** Finding entries: by what they say, through an index that is never believed and can always be made anew. */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import {
  encodeAbsentFrame,
  epochMillis,
  leafOfFrame,
  parseLeaf,
  parseSpiffeIdPattern,
  parseVerifierKey,
  scanSegment,
} from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'
import { readSet } from '../../../packages/server/src/audit/log-set.ts'
import type { SetEntry } from '../../../packages/server/src/audit/log-set.ts'
import { everyEntry, matchesFilter } from '../../../packages/server/src/audit/query-filter.ts'
import type { QueryFilter } from '../../../packages/server/src/audit/query-filter.ts'
import { queryLogs } from '../../../packages/server/src/audit/query.ts'
import type { QueriedLog, QueryHit } from '../../../packages/server/src/audit/query.ts'
import { logIn, sha256 } from '../enforcement/record-fixture.ts'
import type { Log } from '../enforcement/record-fixture.ts'

const id = (path: string) => `spiffe://x.example/${path}`
const SMALL = { limits: { segmentBytes: 3000 } }

interface Writer {
  readonly log: Log
  readonly queried: QueriedLog
  /** Entries that each batch has brought to the index, since the last look. */
  readonly progress: number[]
  write(...entries: readonly Written[]): Promise<void>
}

interface Written {
  readonly time: number
  readonly kind: 'decision' | 'outcome' | 'admin' | 'refusals'
  readonly body: object
}

async function newWriter(origin: string): Promise<Writer> {
  const root = await mkdtemp(join(tmpdir(), 'doorward-query-'))
  after(() => rm(root, { recursive: true, force: true }))
  const log = logIn(root, ed25519LogKey(generateKeyPairSync('ed25519').privateKey), origin)
  const { keyId } = parseVerifierKey(sha256, log.vkey)
  const progress: number[] = []
  return {
    log,
    progress,
    queried: {
      origin,
      folder: log.dir,
      indexFolder: join(root, 'record-index'),
      vkey: log.vkey,
      verifier: { name: origin, keyId, key: log.key.verify },
      sha256,
      onProgress: ({ entries }) => progress.push(entries),
    },
    async write(...entries) {
      let now = 0
      const record = await log.open({ ...SMALL, clock: () => epochMillis(now) })
      for (const { time, kind, body } of entries) {
        now = time
        await record.append({ kind, body })
      }
      await record.close()
    },
  }
}

async function all<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const entry of entries) out.push(entry)
  return out
}

const find = (writers: readonly Writer[], filter: Partial<QueryFilter> = {}, limit = 1000) =>
  all(
    queryLogs(
      writers.map(({ queried }) => queried),
      { filter: { ...everyEntry, ...filter }, limit },
    ),
  )
const names = (hits: readonly SetEntry[]) => hits.map(({ origin, index }) => `${origin}#${index}`)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n)

const alice = 'https://login.acme.example#alice'

/** A call of a tool. */
function decision(time: number, more: object = {}): Written {
  const caller = id('agent/a')
  const who = { caller, subject: caller, presenter: caller, act: [] }
  const resource = { server: 'files', kind: 'tool', name: 'read' }
  return {
    time,
    kind: 'decision',
    body: { decision: 'allow', code: 'allowed', ...who, action: 'tools/call', resource, ...more },
  }
}

const outcome = (time: number, of: number): Written => ({ time, kind: 'outcome', body: { of, status: 'completed' } })

test('entries are found by the person on whose behalf a call was made, and whom they are about', async () => {
  const a = await newWriter('x.example/gateway/main')
  const forAlice = { caller: `${id('agent/a')} for ${alice}`, subject: alice }
  await a.write(
    decision(1),
    decision(2, forAlice),
    { time: 3, kind: 'admin', body: { phase: 'user', user: alice, id: id('agent/b') } },
    { time: 4, kind: 'admin', body: { change: 'revoke', subject: 'user', user: alice, by: id('operator/o') } },
    decision(5, { ...forAlice, subject: alice.replace('alice', 'alice2') }),
  )
  const found = async (filter: Partial<QueryFilter>) => (await find([a], filter)).map(({ index }) => index)
  assert.deepEqual(await found({ user: alice }), [3, 2, 1])
  assert.deepEqual(await found({ user: alice, principal: parseSpiffeIdPattern(id('agent/*')) }), [2, 1])
  assert.deepEqual(await found({ user: `${alice}3` }), [])
})

test('entries are found by each thing that they say, and by all together', async () => {
  const a = await newWriter('x.example/gateway/main')
  const chained = {
    caller: `${id('agent/b')} for ${id('user/u')}`,
    subject: id('user/u'),
    presenter: id('agent/b'),
    act: [id('agent/c')],
  }
  await a.write(
    decision(1),
    decision(2, { decision: 'deny', code: 'policy_denied', resource: { server: 'mail', kind: 'tool', name: 'send' } }),
    decision(3, chained),
    { time: 4, kind: 'admin', body: { change: 'workload.add', id: id('agent/new'), by: id('operator/o') } },
    { time: 5, kind: 'refusals', body: { source: '10.0.0.1', reason: 'token_missing', count: 3 } },
    decision(6, { action: 'GET', resource: { server: 'gateway', kind: 'route', name: '/v1/status' } }),
  )
  const cases: readonly (readonly [Partial<QueryFilter>, readonly number[]])[] = [
    [{}, [5, 4, 3, 2, 1, 0]],
    [{ server: 'mail' }, [1]],
    [{ server: 'gateway' }, [5]],
    [{ tool: 'read' }, [2, 0]],
    [{ tool: '/v1/status' }, []],
    [{ tool: 'nosuch' }, []],
    [{ action: 'GET' }, [5]],
    [{ action: 'workload.add' }, [3]],
    [{ decision: 'allow' }, [5, 2, 0]],
    [{ decision: 'deny' }, [4, 1]],
    [{ reason: 'policy_denied' }, [1]],
    [{ reason: 'token_missing' }, [4]],
    [{ kind: 'admin' }, [3]],
    [{ kind: 'detection' }, []],
    [{ principal: parseSpiffeIdPattern(id('agent/a')) }, [5, 1, 0]],
    [{ principal: parseSpiffeIdPattern(id('agent/b')) }, [2]],
    [{ principal: parseSpiffeIdPattern(id('user/u')) }, [2]],
    [{ principal: parseSpiffeIdPattern(id('agent/c')) }, [2]],
    [{ principal: parseSpiffeIdPattern(id('operator/o')) }, [3]],
    [{ principal: parseSpiffeIdPattern(id('agent/*')) }, [5, 3, 2, 1, 0]],
    [{ principal: parseSpiffeIdPattern(id('*/new')) }, [3]],
    [{ principal: parseSpiffeIdPattern(id('*')) }, []],
    [{ principal: parseSpiffeIdPattern('spiffe://y.example/agent/*') }, []],
    [{ user: alice }, []],
    [{ delegation: id('agent/b') }, [2]],
    [{ delegation: id('agent/c') }, [2]],
    [{ delegation: id('agent/a') }, []],
    [{ delegation: id('user/u') }, []],
    [{ since: epochMillis(3) }, [5, 4, 3, 2]],
    [{ until: epochMillis(3) }, [1, 0]],
    [{ since: epochMillis(2), until: epochMillis(4) }, [2, 1]],
    [{ since: epochMillis(7) }, []],
    [{ id: { origin: 'x.example/gateway/main', index: 4 } }, [4]],
    [{ id: { origin: 'x.example/gateway/main', index: 6 } }, []],
    [{ id: { origin: 'x.example/authority', index: 4 } }, []],
    [{ principal: parseSpiffeIdPattern(id('agent/a')), decision: 'allow', until: epochMillis(5) }, [0]],
  ]
  for (const [filter, expected] of cases)
    assert.deepEqual(
      (await find([a], filter)).map(({ index }) => index),
      expected,
      JSON.stringify(filter),
    )
})

test('whatever is asked, the index finds what reading everything finds', async () => {
  const writers = [await newWriter('x.example/a'), await newWriter('x.example/b')]
  const paths = ['agent/a', 'agent/b', 'tool/a', 'agent/a/c']
  const at = (n: number, of: number) => Math.abs(Math.imul(n + 1, 2_654_435_761)) % of
  for (const [w, writer] of writers.entries())
    await writer.write(
      ...range(0, 150).map((n) => {
        const salt = n * 2 + w
        if (n > 0 && at(salt, 4) === 0) return outcome(n * 3, n - 1)
        const [who, other] = [id(paths[at(salt, 4)]!), id(paths[at(salt + 7, 4)]!)]
        return decision(n * 3, {
          decision: at(salt, 3) === 0 ? 'deny' : 'allow',
          code: `code${at(salt, 3)}`,
          presenter: who,
          subject: at(salt, 3) === 0 ? alice : other,
          act: at(salt, 2) === 0 ? [id('agent/b')] : [],
          resource: { server: `s${at(salt, 2)}`, kind: 'tool', name: `t${at(salt, 5)}` },
        })
      }),
    )
  const whole = (await all(readSet(writers.map(({ queried }) => queried)))).toReversed()
  const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null, freq: 2 })
  const time = some(fc.nat(500).map(epochMillis))
  const filters = fc.record<QueryFilter>({
    principal: some(
      fc.constantFrom('agent/a', 'agent/*', '*/a', 'agent/**', 'no/one').map((path) => parseSpiffeIdPattern(id(path))),
    ),
    user: some(fc.constantFrom(alice, 'https://login.acme.example#bob')),
    delegation: some(fc.constantFrom(...paths).map(id)),
    server: some(fc.constantFrom('s0', 's1', 's2')),
    tool: some(fc.constantFrom('t0', 't1', 't9')),
    action: some(fc.constantFrom('tools/call', 'none')),
    decision: some(fc.constantFrom('allow', 'deny')),
    reason: some(fc.constantFrom('code0', 'code1')),
    kind: some(fc.constantFrom('decision', 'outcome', 'admin')),
    since: time,
    until: time,
    id: fc.option(fc.record({ origin: fc.constantFrom('x.example/a', 'x.example/c'), index: fc.nat(160) }), {
      nil: null,
      freq: 8,
    }),
  })
  await fc.assert(
    fc.asyncProperty(filters, fc.integer({ min: 0, max: 400 }), async (filter, limit) => {
      const expected = whole.filter((entry) => matchesFilter(entry, filter)).slice(0, limit)
      assert.deepEqual(names(await find(writers, filter, limit)), names(expected))
    }),
    { numRuns: 60 },
  )
})

test('the outcome of a call comes with its decision, and by itself only when asked for', async () => {
  const a = await newWriter('x.example/a')
  await a.write(decision(1), decision(2), outcome(3, 1), outcome(4, 0), decision(5))
  const hits = await find([a])
  assert.deepEqual(
    hits.map((hit: QueryHit) => [hit.index, hit.outcome?.index ?? null]),
    [
      [4, null],
      [1, 2],
      [0, 3],
    ],
  )
  assert.deepEqual(
    (await find([a], { kind: 'outcome' })).map(({ index }) => index),
    [3, 2],
  )
  assert.deepEqual(
    (await find([a], { id: { origin: 'x.example/a', index: 3 } })).map(({ index }) => index),
    [3],
  )
})

test('the index reads on from where it came to, and two may ask at once', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(0, 30).map((n) => decision(n)))
  assert.equal((await find([a])).length, 30)
  assert.deepEqual(a.progress.splice(0), [30])
  await a.write(...range(30, 40).map((n) => decision(n)))
  const both = await Promise.all([find([a]), find([a])])
  assert.deepEqual(
    both.map((hits) => hits.length),
    [40, 40],
  )
  a.progress.splice(0)
  await find([a])
  assert.deepEqual(a.progress, [])
})

test('an index that is gone, damaged or of something else is made anew by itself', async () => {
  const [a, b] = [await newWriter('x.example/a'), await newWriter('x.example/a')]
  await a.write(...range(0, 60).map((n) => decision(n)))
  await b.write(...range(0, 50).map((n) => decision(n)))
  const expected = names(await find([a]))
  await find([b])
  const file = join(a.queried.indexFolder, 'index.sqlite')
  const change = (work: (database: DatabaseSync) => void) => () => {
    const database = new DatabaseSync(file)
    work(database)
    database.close()
  }
  const spoil: Readonly<Record<string, () => unknown>> = {
    'it is gone': () => rm(a.queried.indexFolder, { recursive: true }),
    'it is no database': () => writeFile(file, 'this is not what it was'),
    'it is cut': async () => writeFile(file, (await readFile(file)).subarray(0, 9000)),
    'pages are overwritten': async () => writeFile(file, (await readFile(file)).fill(0x41, 4096, 20_000)),
    'it is of another log': () => cp(b.queried.indexFolder, a.queried.indexFolder, { recursive: true }),
    'its tables are others': change((database) => database.exec('DROP TABLE party; CREATE TABLE party (a)')),
    'a row is missing': change((database) => database.exec('DELETE FROM entry WHERE idx = 7')),
    'its root is another': change((database) => database.exec("UPDATE cursor SET root = x'00'")),
    'it claims more than was signed': change((database) =>
      database.exec('UPDATE cursor SET size = 61; INSERT INTO entry (idx, time) VALUES (60, 60)'),
    ),
    'it says something else of an entry': change((database) =>
      database.exec("UPDATE entry SET server = (SELECT id FROM name WHERE text = 'allow') WHERE idx = 30"),
    ),
    'a name is another': change((database) => database.exec("UPDATE name SET text = 'flies' WHERE text = 'files'")),
    'a time is another': change((database) => database.exec('UPDATE entry SET time = 31 WHERE idx = 30')),
  }
  for (const [what, work] of Object.entries(spoil)) {
    await work()
    a.progress.splice(0)
    assert.deepEqual(names(await find([a])), expected, what)
    assert.deepEqual(a.progress, [60], what)
  }
  a.progress.splice(0)
  const anew = { filter: everyEntry, limit: 1, rebuild: true }
  assert.deepEqual(names(await all(queryLogs([a.queried], anew))), expected.slice(0, 1))
  assert.deepEqual(a.progress, [60])
})

test('no answer comes from the index alone: what it claims of an entry is not told', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(0, 10).map((n) => decision(n)))
  await find([a])
  const database = new DatabaseSync(join(a.queried.indexFolder, 'index.sqlite'))
  database.exec("INSERT INTO name (text) VALUES ('mail'); UPDATE entry SET server = last_insert_rowid() WHERE idx = 4")
  database.close()
  assert.deepEqual(await find([a], { server: 'mail' }), [])
})

test('what has expired is told as absent, found by its time alone, and leaves nothing in the index', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(0, 60).map((n) => decision(n, n < 3 ? { presenter: id('agent/forgotten') } : {})))
  assert.equal((await find([a], { principal: parseSpiffeIdPattern(id('agent/forgotten')) })).length, 3)
  const [first, second] = await a.log.segments()
  const kept = Number(/(\d{16})\.journal$/.exec(second!)?.[1])
  await rm(first!)
  const hits = await find([a])
  assert.deepEqual(
    hits.map(({ index }) => index),
    range(0, 60).toReversed(),
  )
  assert.deepEqual(
    hits.filter(({ content }) => content.state === 'absent').map(({ index }) => index),
    range(0, kept).toReversed(),
  )
  assert.deepEqual(await find([a], { principal: parseSpiffeIdPattern(id('agent/forgotten')) }), [])
  assert.equal((await find([a], { server: 'files' })).length, 60 - kept)
  assert.equal((await find([a], { until: epochMillis(2) })).length, 2)
  for (const name of await readdir(a.queried.indexFolder))
    assert.ok(!(await readFile(join(a.queried.indexFolder, name))).includes('agent/forgotten'), name)
})

test('a payload that was redacted is told as absent, and its neighbours are found', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(0, 10).map((n) => decision(n)))
  await find([a])
  const [segment] = await a.log.segments()
  const bytes = await readFile(segment!)
  const { frames, offsets } = scanSegment(bytes, crc32)
  const { digest } = parseLeaf(leafOfFrame(sha256, frames[4]!))
  const length = offsets[5]! - offsets[4]!
  bytes.set(encodeAbsentFrame({ ...frames[4]!, reason: 'redacted', digest }, length, crc32), offsets[4])
  await writeFile(segment!, bytes)
  const hits = await find([a])
  assert.deepEqual(
    hits.flatMap(({ index, content }) => (content.state === 'absent' ? [[index, content.why]] : [])),
    [[4, 'redacted']],
  )
  assert.equal(hits.length, 10)
  assert.equal((await find([a], { server: 'files' })).length, 9)
  const database = new DatabaseSync(join(a.queried.indexFolder, 'index.sqlite'))
  assert.equal(database.prepare('SELECT kind FROM entry WHERE idx = 4').get()?.['kind'], null)
  assert.equal(database.prepare('SELECT count(*) AS n FROM party WHERE idx = 4').get()?.['n'], 0)
  database.close()
})

test('a log that was cut behind its checkpoint answers nothing', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(0, 60).map((n) => decision(n)))
  await rm((await a.log.segments()).at(-1)!)
  await assert.rejects(find([a]))
})
