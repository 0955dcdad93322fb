import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DoorwardError } from '@doorward/core'
import { AuthorityRoute, isOfThePlace } from '../../../packages/sdk/src/authority-route.ts'
import type { RoutedPlace } from '../../../packages/sdk/src/authority-route.ts'
import { ServerRefused } from '@doorward/sdk'

const place = (name: string): RoutedPlace => ({ main: `${name}:8446`, enrol: `${name}:8448` })
const [one, two, three] = ['one.test', 'two.test', 'three.test'].map(place) as [RoutedPlace, RoutedPlace, RoutedPlace]
const names = (places: readonly RoutedPlace[]) => places.map(({ main }) => main)

function routeOf(options: { home?: RoutedPlace; known?: readonly RoutedPlace[]; seed?: string } = {}) {
  const clock = { now: 0 }
  const { home = one, known = [one, two, three], seed = 'seed' } = options
  return { clock, route: new AuthorityRoute({ home, known: () => known, seed, monotonic: () => clock.now }) }
}

const failure = (code: string) => new DoorwardError(code, 'as the test wants')
const refusal = (code: string) => new ServerRefused(code, 'as the test wants', { decision: null, permission: null })

/** Tries each place with what it does: an error to throw, or nothing to answer with its address. */
async function ask(route: AuthorityRoute, does: Readonly<Record<string, Error>> = {}) {
  const asked: string[] = []
  const answer = await route
    .through(async ({ main }) => {
      asked.push(main)
      if (does[main] !== undefined) throw does[main]
      return main
    })
    .catch((error: unknown) => (error instanceof DoorwardError ? error.code : String(error)))
  return { asked, answer }
}

test('while nothing else is known the place where the identity was made is asked', () => {
  assert.deepEqual(routeOf({ known: [] }).route.places(), [one])
})

test('the place where the identity was made comes last when the authorities no longer name it', () => {
  for (const seed of ['a', 'b', 'c', 'd'])
    assert.deepEqual(
      routeOf({ home: one, known: [two, three], seed })
        .route.places()
        .at(-1),
      one,
    )
})

test('callers spread over the places, and each keeps its own order', () => {
  const firsts = new Map<string, number>()
  for (let seed = 0; seed < 3000; seed++) {
    const { route } = routeOf({ seed: String(seed) })
    const [first] = names(route.places())
    assert.equal(names(route.places())[0], first)
    firsts.set(first ?? '', (firsts.get(first ?? '') ?? 0) + 1)
  }
  assert.equal(firsts.size, 3)
  for (const share of firsts.values()) assert.ok(share > 850 && share < 1150, String(share))
})

test('what fails at one place is tried at the next, each once', async () => {
  const { route } = routeOf()
  const [first, second, third] = names(route.places()) as [string, string, string]
  const gone = failure('server_unreachable')
  assert.deepEqual(await ask(route, { [first]: gone, [second]: refusal('store_unavailable') }), {
    asked: [first, second, third],
    answer: third,
  })
  const all = { [first]: gone, [second]: gone, [third]: gone }
  const { asked, answer } = await ask(routeOf().route, all)
  assert.deepEqual([asked.length, answer], [3, 'server_unreachable'])
})

test('what works is asked first from then on, and what failed again after a while that doubles', async () => {
  const { route, clock } = routeOf({ known: [one, two] })
  const [first, second] = names(route.places()) as [string, string]
  const gone = { [first]: failure('server_unreachable') }
  await ask(route, gone)
  assert.deepEqual((await ask(route, gone)).asked, [second])
  clock.now = 5001
  assert.deepEqual((await ask(route, gone)).asked, [first, second])
  clock.now += 5001
  assert.deepEqual((await ask(route, gone)).asked, [second])
  clock.now += 5001
  assert.deepEqual((await ask(route)).asked, [first])
  assert.deepEqual((await ask(route)).asked, [first])
})

test('a refusal of the caller is final: no other authority would judge otherwise', async () => {
  for (const code of ['identity_denied', 'join_refused', 'limit_user', 'token_binding', 'call_aborted']) {
    const { route } = routeOf()
    const [first] = names(route.places()) as [string]
    const problem = code === 'call_aborted' ? failure(code) : refusal(code)
    assert.deepEqual((await ask(route, { [first]: problem })).asked, [first], code)
    assert.deepEqual((await ask(route)).asked, [first], code)
  }
})

test('another server, a broken or slow connection, a state from the past and a store that is down are of the place', () => {
  for (const code of [
    'server_unreachable',
    'server_untrusted',
    'server_identity',
    'connection_lost',
    'connection_timeout',
    'connection_refused',
    'authority_not_pinned',
    'trust_anchors_rollback',
    'trust_state_rollback',
    'delegation_expired',
  ])
    assert.ok(isOfThePlace(failure(code)), code)
  for (const code of ['authority_unready', 'store_unavailable', 'record_unavailable', 'internal', 'server_refused'])
    assert.ok(isOfThePlace(refusal(code)), code)
  for (const error of [new TypeError('a bug'), failure('svid_invalid'), failure('machine_key_missing')])
    assert.ok(!isOfThePlace(error), String(error))
})

test('when every place fails, the error is the one that says most', async () => {
  const gone = failure('server_unreachable')
  const answers = async (...problems: readonly Error[]) => {
    const { route } = routeOf()
    const does = Object.fromEntries(names(route.places()).map((main, index) => [main, problems[index] ?? gone]))
    return (await ask(route, does)).answer
  }
  assert.equal(await answers(refusal('authority_unready'), gone, gone), 'authority_unready')
  assert.equal(await answers(failure('server_untrusted'), refusal('authority_unready'), gone), 'server_untrusted')
  assert.equal(await answers(gone, gone, failure('connection_lost')), 'connection_lost')
})

test('a caller that gives up is not sent on, and the time of one call bounds all places together', async () => {
  const { route, clock } = routeOf()
  const giveUp = new AbortController()
  const asked: string[] = []
  const call = route.through(
    async ({ main }) => {
      asked.push(main)
      giveUp.abort()
      throw failure('connection_timeout')
    },
    { signal: giveUp.signal },
  )
  await assert.rejects(call, { code: 'connection_timeout' })
  assert.equal(asked.length, 1)
  const slow = routeOf().route.through(
    async ({ main }) => {
      asked.push(main)
      throw failure('connection_timeout')
    },
    { milliseconds: 0 },
  )
  await assert.rejects(slow, { code: 'connection_timeout' })
  assert.equal(asked.length, 2)
  assert.equal(clock.now, 0)
})

test('a place that does not answer is left when there is another, and waited for when there is none', async () => {
  const { route } = routeOf({ known: [one] })
  const waits = async (_place: RoutedPlace, signal: AbortSignal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    assert.equal((signal.reason as Error).name, 'TimeoutError')
    throw failure('connection_timeout')
  }
  await assert.rejects(route.through(waits, { milliseconds: 20 }), { code: 'connection_timeout' })
})
