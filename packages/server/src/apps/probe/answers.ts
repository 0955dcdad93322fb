/** What every answer has to carry, whatever became of the request; and that limits are met. */

import { judged, notRun } from './attempt.ts'
import type { Attempt, Judged } from './attempt.ts'
import { requestOf } from './request.ts'
import type { Changes } from './request.ts'
import type { Scene } from './scene.ts'

/** ADR-0011, `security.headers`. */
const wanted: readonly (readonly [name: string, value: RegExp])[] = [
  ['x-content-type-options', /^nosniff$/],
  ['x-frame-options', /^DENY$/],
  ['x-xss-protection', /./],
  ['strict-transport-security', /^max-age=\d{8,}/],
]
const unwanted = ['server', 'x-powered-by', 'via']

export async function headerAttempts(scene: Scene): Promise<readonly Attempt[]> {
  const token = await scene.caller.token()
  const rows: readonly (readonly [id: string, title: string, changes: Changes])[] = [
    ['refused', 'headers of a refusal', { token: null }],
    ['unknown', 'headers where there is nothing', { target: '/none' }],
    ['malformed', 'headers of a request that is malformed', { length: '-1' }],
    ['message', 'headers of a message that is refused', { body: '[]' }],
  ]
  return rows.map(([id, title, changes]) => ({
    id: `headers-${id}`,
    kind: 'headers',
    title,
    requirement: 'ADR11-CFG-headers.X-Content-Type-Options',
    run: async () => {
      const outcome = await scene.send(scene.caller.material(), requestOf(scene, token, changes))
      const headers = outcome.answers[0]?.headers ?? new Map<string, string>()
      const missing = wanted.filter(([name, value]) => !value.test(headers.get(name) ?? '')).map(([name]) => name)
      const told = unwanted.filter((name) => headers.has(name))
      const got = [...missing.map((name) => `no ${name}`), ...told.map((name) => `a ${name}`)].join(', ')
      return judged(got === '', 'the four headers, and none that tells what serves', got || 'all', outcome)
    },
  }))
}

/** As many as are sent at most; a limit beyond is not met here. */
const mostCalls = 4000
const mostMilliseconds = 60_000
/** On one connection, one after the other without waiting. */
const inARow = 25
const together = 4

/** Last of what is sent: afterwards this address waits. */
export function limitAttempt(scene: Scene): Attempt {
  return {
    id: 'limits-rate',
    kind: 'limits',
    title: 'calls without end',
    requirement: 'ADR11-DEC-8',
    run: () => callsWithoutEnd(scene),
  }
}

async function callsWithoutEnd(scene: Scene): Promise<Judged> {
  const expected = '429 with when to come back'
  const token = await scene.stranger.token()
  const request = Buffer.concat(Array.from({ length: inARow }, () => requestOf(scene, token, { keep: true })))
  const started = performance.now()
  let answered = 0
  while (answered < mostCalls && performance.now() - started < mostMilliseconds) {
    scene.options.signal.throwIfAborted()
    const all = Array.from({ length: together }, () => scene.sendAtOnce(scene.stranger.material(), request))
    const answers = (await Promise.all(all)).flatMap((outcome) => outcome.answers)
    const limited = answers.find(({ headers }) => headers.get('doorward-code')?.startsWith('limit_') === true)
    answered += answers.length
    if (answers.length === 0) return judged(false, expected, 'no answer')
    if (limited === undefined) continue
    const again = limited.headers.get('retry-after') ?? ''
    const code = limited.headers.get('doorward-code') ?? 'no code'
    return judged(
      limited.status === 429 && /^[1-9]\d*$/.test(again),
      expected,
      `${code}, retry-after ${again || 'missing'}`,
    )
  }
  return notRun(expected, `no limit within ${answered} calls: those of this deployment are wider`)
}
