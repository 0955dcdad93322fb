/** docs/monitoring.md on a running system: its configuration, its commands, and Prometheus with its files. */

import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Identity } from '@doorward/sdk'
import { rowsOf } from '../../packages/server/src/observability/metric-rows.ts'
import { freePorts, repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { readGuide } from '../fixtures/guide.ts'
import type { Guide } from '../fixtures/guide.ts'
import { openV2 } from '../fixtures/official-peers.ts'
import { hasTool } from '../fixtures/outside-tools.ts'
import { runPrometheus } from '../fixtures/prometheus.ts'
import type { Prometheus } from '../fixtures/prometheus.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'
import { until } from './agent-stage.ts'

interface Answer {
  readonly status: number
  readonly code: string
  readonly type: string
  readonly decision: string
  readonly text: string
}

describe('docs/monitoring.md', () => {
  let system: TestDeployment
  let guide: Guide
  /** Addresses of the guide → of this deployment. */
  let places: readonly (readonly [string, string])[]
  const here = (text: string) => places.reduce((left, [from, to]) => left.replaceAll(from, to), text)
  const done = async (...words: readonly string[]) => {
    const { code, stderr } = await system.run(words)
    equal(code, 0, `${words.join(' ')}: ${stderr}`)
  }

  before(async () => {
    guide = readGuide(await readFile(join(repository, 'docs', 'monitoring.md'), 'utf8'))
    const yaml = guide.files.find(({ name }) => name === 'doorward.yaml')?.text ?? ''
    system = await TestDeployment.prepare({ yaml: `${yaml}${wideLimits}`, trustDomain: 'acme.example' })
    await mkdir(join(system.folder, 'documents'))
    await writeFile(join(system.folder, 'documents', 'notes.md'), 'the door is shut\n')
    await system.up()
    const { gateway, authority } = await system.deployment()
    const port = (url: string) => new URL(url).port
    places = [
      ['127.0.0.1:8443', `127.0.0.1:${port(gateway.publicUrl)}`],
      ['127.0.0.1:8446', `127.0.0.1:${port(authority.publicUrl)}`],
      ['127.0.0.1:8444', `127.0.0.1:${gateway.listeners.admin.port}`],
      ['127.0.0.1:8447', `127.0.0.1:${authority.listeners.admin.port}`],
    ]
    for (const { words } of guide.commands) await done(...words.slice(1).map(here))
    for (const { name, text } of guide.files)
      if (name !== 'doorward.yaml') await writeFile(join(system.folder, name), here(text))
    await copyFile(
      join(repository, 'monitoring', 'prometheus-rules.yaml'),
      join(system.folder, 'prometheus-rules.yaml'),
    )
  })
  after(() => system.remove())

  const credential = (name: string) => readFile(join(system.folder, 'credentials', name), 'utf8')

  interface Asking {
    readonly part: 'gateway' | 'authority'
    readonly path?: string
    readonly accept?: string
    readonly tls?: { readonly cert: string; readonly key: string }
    readonly token?: string
  }

  /** As Prometheus asks, with its files, but for what is given. */
  async function ask({ part, path = '/metrics', accept = 'text/plain', tls, token }: Asking): Promise<Answer> {
    const deployment = await system.deployment()
    const { host, port } = deployment[part].listeners.admin
    const own = tls ?? { cert: await credential('svid.pem'), key: await credential('svid.key') }
    const authorization = `Bearer ${token ?? (await credential(`${part}.token`))}`
    return new Promise((resolve, reject) => {
      const ca = readFile(join(system.folder, 'credentials', 'bundle.pem'))
      ca.then((bundle) => {
        const options = { host, port, path, ca: bundle, ...own, agent: false, headers: { accept, authorization } }
        const asking = request(options, (response) => {
          let text = ''
          response.on('data', (part: Buffer) => (text += part.toString()))
          response.on('end', () => {
            const { headers, statusCode: status = 0 } = response
            const header = (name: string) => String(headers[name])
            const [code, decision] = [header('doorward-code'), header('doorward-decision')]
            resolve({ status, code, decision, type: header('content-type'), text })
          })
        })
        asking.on('error', reject).end()
      }, reject)
    })
  }

  async function asCaller(identity: Identity, audience: string) {
    const { chain, privateKey } = identity.credentials.current()
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    return { tls: { cert: chain.map(pemOf).join(''), key }, token: (await identity.token(audience)).reveal() }
  }

  test('a role for nothing else reads the numbers of both parts, and nothing else', async () => {
    for (const part of ['gateway', 'authority'] as const) {
      const { status, code, type, text } = await ask({ part })
      deepEqual([status, code, type], [200, 'allowed', 'text/plain; version=0.0.4; charset=utf-8'])
      const families = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name.replace(/_(total|info)$/, ''))
      deepEqual(
        families,
        rowsOf[part].map(({ name }) => name),
      )
      match(text, new RegExp(`^doorward_build_info\\{version="[0-9.]+",part="${part}"\\} 1$`, 'm'))
      match(text, /^doorward_ready 1$/m)
      match(text, /^doorward_record_state\{state="open"\} 1$/m)
      for (const path of ['/v1/status', '/v1/record', '/v1/policy']) {
        const refused = await ask({ part, path })
        deepEqual([refused.status, refused.code], [403, 'policy_denied'], path)
      }
    }
  })

  test('a workload without the role is refused, on record', async () => {
    const planner = await system.identity('agent/planner')
    const { gateway, authority } = await system.deployment()
    const audiences = { gateway: `${gateway.publicUrl}/admin`, authority: authority.publicUrl }
    for (const part of ['gateway', 'authority'] as const) {
      const answer = await ask({ part, ...(await asCaller(planner, audiences[part])) })
      deepEqual([answer.status, answer.code], [403, 'policy_denied'])
      ok(!answer.text.includes('doorward_'), answer.text)
      let body: Readonly<Record<string, unknown>> = {}
      await until(async () => {
        const entry = (await system.record(part)).find(({ origin, index }) => `${origin}#${index}` === answer.decision)
        body = { ...entry?.entry.body }
        return entry !== undefined
      }, 'the refusal is on record')
      deepEqual(
        [body['decision'], body['code'], body['caller'], (body['resource'] as { name?: string }).name],
        ['deny', 'policy_denied', 'spiffe://acme.example/agent/planner', '/metrics'],
      )
      await rejects(ask({ part, tls: { cert: '', key: '' } }))
      const { text } = await ask({ part })
      match(text, /^doorward_refusals_total\{listener="admin",code="policy_denied"\} [1-9]/m)
      match(text, /^doorward_handshakes_refused_total\{listener="admin",reason="certificate_missing"\} 1$/m)
    }
    planner.close()
  })

  test('Prometheus reads both parts with the files of the agent, and has no quarrel with the formats and the rules', async (t) => {
    if (!hasTool(t, 'prometheus') || !hasTool(t, 'promtool')) return
    const peer = await openV2(system.launch(['connect', 'files', '--as', 'agent/planner']))
    const path = join(system.folder, 'documents', 'notes.md')
    for (let n = 0; n < 3; n++) await peer.call('read_text_file', { path })
    await peer.call('write_file', { path, content: 'open' }).catch(() => undefined)
    await peer.close()
    for (const part of ['gateway', 'authority'] as const) {
      const { text } = await ask({ part })
      const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
      deepEqual([status, stdout, stderr], [0, '', ''])
    }
    const config = join(system.folder, 'prometheus.yml')
    await writeFile(config, (await readFile(config, 'utf8')).replace('scrape_interval: 15s', 'scrape_interval: 250ms'))
    const checked = spawnSync('promtool', ['check', 'config', config], { encoding: 'utf8' })
    equal(checked.status, 0, `${checked.stdout}${checked.stderr}`)
    const prometheus = await runPrometheus(system.folder, config, (await freePorts(1))[0] ?? 0)
    t.after(() => prometheus.stop())
    await showsItAll(prometheus)
    await outlivesRotation(prometheus)
  })

  /** A token is bound to the certificate beside it, and Prometheus keeps its connections. */
  async function outlivesRotation(prometheus: Prometheus): Promise<void> {
    const identity = await system.identity('service/prometheus')
    const { serial } = identity.credentials.current().certificate
    await identity.renew()
    identity.close()
    const agent = guide.commands.find(({ words }) => words[1] === 'agent')
    await done(...(agent?.words.slice(1).map(here) ?? []))
    const { serial: newer } = JSON.parse(await credential('status.json')) as { readonly serial: string }
    notEqual(newer, serial)
    const allowed = async (part: 'gateway' | 'authority') =>
      (await system.record(part)).some(({ entry: { kind, body } }) => {
        const { decision, certificate } = body as {
          readonly decision?: string
          readonly certificate?: { serial?: string }
        }
        return kind === 'decision' && decision === 'allow' && certificate?.serial === newer
      })
    for (const part of ['gateway', 'authority'] as const) await until(() => allowed(part), `${part} with the new files`)
    await until(
      async () => [...(await prometheus.query('min_over_time(up[1s])')).values()].every((one) => one === 1),
      'up',
    )
  }

  async function showsItAll(prometheus: Prometheus): Promise<void> {
    const up = () => prometheus.query('up')
    await until(
      async () => (await up()).size === 2 && [...(await up()).values()].every((one) => one === 1),
      'both are up',
    )
    const only = async (expression: string) => [...(await prometheus.query(expression)).values()]
    deepEqual(await only('sum(doorward_calls_total{group="read",decision="allow",code="allowed"})'), [3])
    deepEqual(await only('sum(doorward_calls_total{decision="deny",code="policy_denied"})'), [1])
    deepEqual(await only('sum(doorward_ready)'), [2])
    deepEqual(await only('doorward_call_record_wait_seconds_count > bool 3'), [1])
    deepEqual(await only('doorward_issued_total{kind="token"} > bool 1'), [1])
    deepEqual(await only('doorward_api_requests_total{route="POST /v1/enrol",code="allowed"} > bool 1'), [1])
    const { groups } = (await prometheus.ask('rules')) as {
      readonly groups: readonly {
        readonly rules: readonly { readonly health: string; readonly lastError?: string }[]
      }[]
    }
    ok(groups.flatMap(({ rules }) => rules).every(({ lastError = '' }) => lastError === ''))
    const query = encodeURIComponent('doorward_calls_total')
    const day = 86_400_000
    const [start, end] = [Date.now() - day, Date.now() + day].map((at) => new Date(at).toISOString())
    const told = (await prometheus.ask(`query_exemplars?query=${query}&start=${start}&end=${end}`)) as readonly {
      readonly exemplars: readonly { readonly labels: { readonly decision_id?: string } }[]
    }[]
    match(told[0]?.exemplars[0]?.labels.decision_id ?? '', /^acme\.example\/gateway\/main#\d+$/)
  }
})
