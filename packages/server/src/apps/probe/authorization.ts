/** Attempts of those who are known and may not; and the one call that has to be let in, without which a refusal proves nothing. */

import { decisionsIn, judged, notRun, refusedBy, toldBy } from './attempt.ts'
import type { Attempt } from './attempt.ts'
import { requestOf } from './request.ts'
import type { Changes } from './request.ts'
import { placeOf } from './scene.ts'
import type { Administration, Member, Scene } from './scene.ts'
import type { Stateless } from './stateless.ts'
import { say } from './wire.ts'
import type { WireMaterial, WireOutcome } from './wire.ts'

/** Lets the caller in, and ends what that opened. */
export function baselineAttempt(scene: Scene, id: string): Attempt {
  return {
    id: `baseline-${id}`,
    kind: 'baseline',
    title: 'a workload with the role opens a session',
    requirement: 'OS25-D4',
    run: async () => {
      const { caller } = scene
      const outcome = await scene.send(caller.material(), requestOf(scene, await caller.token()))
      await endSession(scene, outcome, { material: caller.material(), token: await caller.token() })
      const told = toldBy(outcome)
      return judged(told === 'allowed' && outcome.answers[0]?.status === 200, 'allowed', told, outcome)
    },
  }
}

/** Of who has opened it. */
export async function endSession(
  scene: Scene,
  outcome: WireOutcome,
  { material, token }: { readonly material: WireMaterial; readonly token: string },
): Promise<void> {
  const session = outcome.answers[0]?.headers.get('mcp-session-id')
  if (session === undefined) return
  const changes = {
    method: 'DELETE',
    headers: { 'Mcp-Session-Id': session, 'Content-Type': null },
    body: '',
    length: null,
  }
  await scene.send(material, requestOf(scene, token, changes))
}

type Row = readonly [
  id: string,
  title: string,
  who: Member,
  changes: Changes,
  codes: readonly string[],
  audience?: string,
]

export function authorizationAttempts(scene: Scene, stateless: Stateless): readonly Attempt[] {
  const own = scene.options.administration.flatMap((one) => [
    administrationAttempt(scene, one, '/v1/status'),
    ...(one.part === 'gateway' ? [administrationAttempt(scene, one, '/metrics')] : []),
  ])
  return [...own, ...plainAttempts(scene), callWithoutRole(scene, stateless), sessionOfAnother(scene)]
}

function callWithoutRole(scene: Scene, stateless: Stateless): Attempt {
  const call = {
    method: 'tools/call',
    params: { name: 'drop_all', arguments: {} },
    headers: { 'Mcp-Name': 'drop_all' },
  }
  return {
    id: 'authorization-no-role-call',
    kind: 'authorization',
    title: 'a call without a session by a workload without a role',
    requirement: 'OS25-D4',
    run: () => stateless.refused(scene, { who: scene.stranger, call, codes: ['policy_denied'] }),
  }
}

/** A session is its holder's, whoever else may have one there. */
function sessionOfAnother(scene: Scene): Attempt {
  const expected = 'session_unknown'
  return {
    id: 'authorization-session-of-other',
    kind: 'authorization',
    title: 'a session of another workload with the same role',
    requirement: 'OS25-D4',
    run: async () => {
      const { caller, other } = scene
      const [material, token] = [caller.material(), await caller.token()]
      const opened = await scene.send(material, requestOf(scene, token))
      const session = opened.answers[0]?.headers.get('mcp-session-id')
      if (toldBy(opened) !== 'allowed') return judged(false, 'allowed at first', toldBy(opened), opened)
      const before = decisionsIn(opened)
      if (session === undefined) return { ...notRun(expected, 'the server has no sessions'), decisions: before }
      const changes = { body: listing, headers: { 'Mcp-Session-Id': session } }
      const taken = refusedBy(await scene.send(other.material(), requestOf(scene, await other.token(), changes)), [
        expected,
      ])
      await endSession(scene, opened, { material, token })
      return { ...taken, decisions: [...before, ...taken.decisions] }
    },
  }
}

const listing = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })

/** Whoever may call servers opens nothing of the operators by that, at their own listener and with a token for it. */
function administrationAttempt(scene: Scene, { part, url, audience }: Administration, target: string): Attempt {
  return {
    id: `authorization-admin-${target === '/metrics' ? 'metrics' : part}`,
    kind: 'authorization',
    title: `${target} at the operators' listener of the ${part}, by who is no operator`,
    requirement: 'OS25-D4',
    run: async () => {
      const { caller } = scene
      const changes = {
        target,
        method: 'GET',
        headers: { Host: new URL(url).host },
        body: '',
        length: null,
      }
      const bytes = requestOf(scene, await caller.token(audience), changes)
      const { decisions, ...rest } = refusedBy(await say(placeOf(url), caller.material(), bytes), ['policy_denied'])
      // What the authority decides stands on its own record; that it stands there is told all the same.
      return { ...rest, decisions: part === 'gateway' ? decisions : decisions.filter(({ entry }) => entry === null) }
    },
  }
}

function plainAttempts(scene: Scene): readonly Attempt[] {
  return rowsOf(scene).map(([id, title, who, changes, codes, audience]) => ({
    id: `authorization-${id}`,
    kind: 'authorization',
    title,
    requirement: 'OS25-D4',
    run: async () => {
      const bytes = requestOf(scene, await who.token(audience), changes)
      return refusedBy(await scene.send(who.material(), bytes), codes)
    },
  }))
}

function rowsOf(scene: Scene): readonly Row[] {
  const { caller, stranger } = scene
  // That it is for another server is no reason to refuse it there.
  const itself = scene.options.url
  const nowhere = `${scene.path.slice(0, scene.path.lastIndexOf('/'))}/no-such-server`
  const none = { body: '', length: null }
  return [
    ['no-role', 'a session for a workload without a role', stranger, {}, ['policy_denied']],
    ['no-server', 'a server that is not there', caller, { target: nowhere }, ['path_unknown']],
    [
      'service',
      'a service that is not there',
      caller,
      { target: '/http/no-such-service/x', method: 'GET', ...none },
      ['path_unknown'],
    ],
    [
      'admin-path',
      "the operators' path on the listener of callers",
      caller,
      { target: '/v1/status', method: 'GET', ...none },
      ['path_unknown'],
      itself,
    ],
    [
      'metrics',
      'metrics on the listener of callers',
      caller,
      { target: '/metrics', method: 'GET', ...none },
      ['path_unknown'],
      itself,
    ],
    [
      'forwarded',
      'a claim to be somebody else, in headers that proxies set',
      stranger,
      {
        headers: {
          'X-Forwarded-User': 'admin',
          'X-Forwarded-Client-Cert': 'URI=spiffe://x/admin',
          'X-Spiffe-Id': caller.identity.id.uri,
          'X-Real-Ip': '127.0.0.1',
        },
      },
      ['policy_denied', 'header_name', 'request_malformed'],
    ],
    [
      'override',
      'another method by a header',
      stranger,
      { headers: { 'X-HTTP-Method-Override': 'GET' } },
      ['policy_denied', 'header_name', 'request_malformed'],
    ],
  ]
}
