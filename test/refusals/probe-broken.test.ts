/** The probe fails where a control is missing, by the attempts at it: a sample of `npm run campaign -- --only probe`, which takes them all. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import type { RecordEntry } from '../../packages/enforcement/src/record/record.ts'
import type { Exchange } from '../../packages/enforcement/src/wire/exchange.ts'
import { forgedTokens } from '../../packages/server/src/apps/probe/forged-tokens.ts'
import { limitsOf } from '../../packages/server/src/apps/probe/options.ts'
import { recordJudged, standsAlone } from '../../packages/server/src/apps/probe/record.ts'
import type { ToldDecision } from '../../packages/server/src/apps/probe/attempt.ts'
import type { ProbeReport } from '../../packages/server/src/apps/probe/report.ts'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'
import { ProbedGateway } from '../fixtures/probed-gateway.ts'
import type { ProbedOptions } from '../fixtures/probed-gateway.ts'

async function probed(only: readonly string[], broken: ProbedOptions = {}): Promise<ProbeReport> {
  const gateway = await ProbedGateway.open(broken)
  try {
    return await gateway.probe(only)
  } finally {
    await gateway.close()
  }
}

const of = ({ attempts }: ProbeReport, wanted: string) =>
  attempts.filter(({ verdict }) => verdict === wanted).map(({ id }) => id)
const always = ['baseline-before', 'baseline-stateless', 'baseline-after', 'record-entries', 'record-let-in']

test('a gateway that keeps all of it passes, and only what is named is tried', async () => {
  const gateway = await ProbedGateway.open()
  const samples = ['headers', 'transport-host-other', 'authorization-session-of-other', 'message-header-name']
  try {
    const report = await gateway.probe(samples)
    deepEqual([of(report, 'failed'), of(report, 'not_run')], [[], []])
    const tried = report.attempts.map(({ id }) => id).filter((id) => !always.includes(id))
    ok(tried.every((id) => samples.some((name) => id === name || id.startsWith(`${name}-`))))
    deepEqual(
      samples.filter((name) => !tried.some((id) => id.startsWith(name))),
      [],
    )
    equal(report.attempts.length, tried.length + always.length)
    await rejects(gateway.probe(['headers', 'header']), { code: 'attempt_unknown' })
  } finally {
    await gateway.close()
  }
})

test('security headers left out: every attempt at headers fails', async () => {
  const report = await probed(['headers'], { listener: { securityHeaders: {} } })
  const ids = ['headers-refused', 'headers-unknown', 'headers-malformed', 'headers-message']
  deepEqual(of(report, 'failed'), ids)
  match(report.attempts.find(({ id }) => id === 'headers-refused')?.got ?? '', /no x-frame-options/)
})

test('any host taken: the attempt at another host fails, and what it let in is not due', async () => {
  const listener = { authorities: ['127.0.0.1:0', 'attacker.example'] }
  deepEqual(of(await probed(['transport-host-other'], { listener }), 'failed'), [
    'transport-host-other',
    'record-let-in',
  ])
})

const version = { digest: 'd', sequence: 1 }
const verdict = { effect: 'allow', policies: ['all'], obligations: [], version } as const
const everything = {
  decide: () => Promise.resolve(verdict),
  list: () => Promise.resolve('allow' as const),
  some: () => Promise.resolve('allow' as const),
}

test('everything allowed: who has no role is seen to be let in, with a session and without one', async () => {
  const report = await probed(['authorization'], { pipeline: { decisions: everything } })
  const roles = ['no-role', 'forwarded', 'override', 'no-role-call'].map((id) => `authorization-${id}`)
  deepEqual(of(report, 'failed'), [...roles, 'record-let-in'])
})

test('refusals that no record has: an answer that names no entry fails, whatever its code', async () => {
  const records = ({ kind, body }: RecordEntry) =>
    kind !== 'decision' || !('decision' in body) || body.decision !== 'deny'
  const report = await probed(['authorization-no-role', 'token-of-other', 'message-deep'], { records })
  deepEqual(of(report, 'failed'), ['record-entries'])
  match(report.attempts.at(-2)?.got ?? '', /^3 answers name none: token_binding, policy_denied, json_too_deep$/)
})

test('an answer has to name its entry where its caller is known; strangers and mistakes of form are counted', () => {
  const alone = ['allowed', 'policy_denied', 'session_unknown', 'json_too_deep', 'token_audience', 'token_binding']
  deepEqual(
    alone.filter((code) => !standsAlone(code)),
    [],
  )
  const counted = ['certificate_untrusted', 'limit_ip', 'host_unknown', 'path_unknown', 'origin_unknown', 'status_400']
  deepEqual(counted.filter(standsAlone), [])
})

test('a server of the earlier era alone: what is tried without a session is told as not tried', async () => {
  const only = ['authorization-no-role-call', 'message-header-name', 'message-version', 'message-unknown']
  const report = await probed(only, { versions: ['2025-06-18'] })
  deepEqual(of(report, 'failed'), [])
  deepEqual(of(report, 'not_run'), ['baseline-stateless', 'authorization-no-role-call', 'message-header-name'])
})

/** What a gateway could say in place of what it must: another reason than the one that is tried. */
const elsewise: readonly (readonly [code: string, isOf: (exchange: Exchange) => boolean])[] = [
  [
    'token_audience',
    ({ request: { url = '' } }) => ['/v1/status', '/metrics'].includes(url) || url.includes('no-such'),
  ],
  ['path_unknown', ({ request: { url = '' } }) => url.startsWith('https://attacker.example')],
  ['protocol_version', ({ head: { headers } }) => headers['mcp-method'] === 'ping'],
  ['token_signature', ({ head: { headers } }) => headers['authorization'] === 'Bearer secret'],
  ['session_missing', ({ head: { headers } }) => headers['mcp-name'] === 'drop_all'],
]

test('a refusal for another reason is none; a resumption that nobody answered is told as not tried', async () => {
  const broken: ProbedGateway = await ProbedGateway.open({
    listener: {
      onExchange: async (exchange) => {
        const code = elsewise.find(([, isOf]) => isOf(exchange))?.[0]
        if (code !== undefined) exchange.response.writeHead(401, { 'Doorward-Code': code, 'Content-Length': 0 }).end()
        else if (exchange.head.path === '/none') exchange.request.socket.destroy()
        else await broken.gateway.endpoint.serve(exchange)
      },
    },
  })
  const paths = ['no-server', 'service', 'admin-path', 'metrics'].map((id) => `authorization-${id}`)
  const only = [
    'token-forged-85',
    ...paths,
    'authorization-no-role-call',
    'transport-absolute',
    'message-header-method',
  ]
  try {
    const report = await broken.probe([...only, 'handshake-resumption'])
    deepEqual(of(report, 'failed'), [...only, 'record-entries'])
    deepEqual(of(report, 'not_run'), ['handshake-resumption'])
  } finally {
    await broken.close()
  }
})

test('tokens that are keyed by the public key verify where its bytes are taken for a secret', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const good = `${part({ alg: 'ES256', typ: 'at+jwt', kid: 'k' })}.${part({ sub: 's', exp: 1 })}.${'A'.repeat(86)}`
  const pem = publicKey.export({ type: 'spki', format: 'pem' })
  const taken = forgedTokens(good, publicKey).filter(({ text }) => {
    const [head = '', payload = '', mac] = text.split('.')
    return createHmac('sha256', pem).update(`${head}.${payload}`).digest('base64url') === mac
  })
  deepEqual(
    taken.map(({ name }) => name),
    ['alg HS256, keyed by the public key as PEM'],
  )
})

test('where named networks have limits of their own, the widest are demanded, and the narrowest may be met', () => {
  const networks = 'limits: { networks: [{ cidr: 127.0.0.0/8, per_ip: 6000/min, connections_per_ip: 1000 }] }'
  const of = (more: string) =>
    limitsOf({ configuration: parseConfiguration(`trust_domain: a.example\n${more}\n`, 'a') })
  const [plain, wider] = [of(''), of(networks)]
  deepEqual([plain.connections, plain.leastPerIp], [200, plain.calls.limit_ip])
  deepEqual([wider.connections, wider.calls.limit_ip.count, wider.leastPerIp], [1000, 6000, plain.leastPerIp])
})

test('a call that was cut when its caller was denied may have been let in, and no other', async () => {
  const body = { decision: 'allow', code: 'allowed', caller: 'spiffe://a.example/x' }
  const lines = [0, 1].map((index) => ({ origin: 'o', index, kind: 'decision', document: { body } }))
  const admin = {
    record: async function* () {
      yield* lines
    },
  }
  const question = { admin, from: 0, members: ['spiffe://a.example/x'], allowed: 1 }
  const named = { entry: 'o#0', code: 'allowed' }
  const verdictOf = async (told: readonly ToldDecision[]) => (await recordJudged({ ...question, told })).letIn.verdict
  equal(await verdictOf([named, { entry: null, code: 'cut' }]), 'passed')
  equal(await verdictOf([named]), 'failed')
})
