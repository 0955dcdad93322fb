/** What every answer has to carry, whatever became of the request. */

import { judged } from './attempt.ts'
import type { Attempt } from './attempt.ts'
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
