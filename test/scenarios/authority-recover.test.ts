/**
 * A recovery on the running system, against a forger who has the real keys: certificate, token and trust state that they have
 * signed are refused before, during and after; everybody legitimate goes on.
 */

import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  openNote,
  openTrustState,
  parseTrustMessage,
  parseVerifierKey,
  signTrustState,
  toSeconds,
} from '@doorward/core'
import type { SignedTrustState, TrustState } from '@doorward/core'
import { importEd25519, importP256, readBody, sha256, systemClock } from '@doorward/sdk'
import { readVerifierKey } from '../../packages/server/src/apps/log-places.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { stateFolders } from '../../packages/server/src/config/settings.ts'
import { createRecoveryRoot } from '../../packages/server/src/secrets/recovery-root.ts'
import { dial } from '../fixtures/raw-http.ts'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { StolenKeys } from '../fixtures/stolen-keys.ts'
import { Stage } from '../refusals/stage.ts'
import type { Attempt, Caller } from '../refusals/stage.ts'

let stage: Stage
let agent: Caller
let keys: StolenKeys
const stopping = new AbortController()
let running: Promise<void>

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  running = agent.identity.run(stopping.signal)
  keys = await stealKeys(stage.system)
})
after(async () => {
  stopping.abort()
  await running
  await stage.close()
})

/** What the agent presents now, wherever its certificate has come from. */
const now = (): Caller => ({ ...agent, tls: stage.tlsOf(agent.identity) })

/** A call over a certificate that the forger has made for the agent. */
async function forgedCertificate(): Promise<Attempt> {
  const { pem } = await keys.leaf(agent.id)
  return { caller: agent, connect: { ...pem }, token: await stage.token(agent) }
}

/** A token that the forger has made, as the agent's own, with another id. */
async function forgedToken(): Promise<string> {
  const [header = '', payload = ''] = (await stage.token(agent)).split('.')
  const text = (part: string) => Buffer.from(part, 'base64url').toString('utf8')
  const claims = JSON.parse(text(payload)) as Record<string, unknown>
  const { kid: _kid, ...rest } = JSON.parse(text(header)) as Record<string, unknown>
  return keys.sign(
    JSON.stringify({ ...rest, kid: keys.token.keyId }),
    JSON.stringify({ ...claims, jti: 'forged', 'urn:doorward:epoch': 99 }),
  )
}

interface Report {
  readonly verdict: string
  readonly ceremony: { readonly epoch: number; readonly reason: string }
  readonly stages: readonly { readonly stage: string; readonly straggling: number }[]
  readonly probes: readonly { readonly attempt: string; readonly listener: string; readonly ok: boolean }[]
}

/** The report as somebody reads it who has nothing but the file and the verifier key of the log. */
async function reportIn(file: string): Promise<Report> {
  const note = await readFile(file, 'utf8')
  const vkey = await readVerifierKey(await keyDir(), 'test.example/authority')
  const { name, keyId, publicKey } = parseVerifierKey(sha256, vkey ?? '')
  const key = importEd25519(publicKey)
  assert.ok(key !== null)
  const [head, line = ''] = openNote(note, [{ name, keyId, key }]).split('\n')
  assert.equal(head, 'doorward/recovery-report/v1')
  return JSON.parse(line) as Report
}

async function keyDir(): Promise<string> {
  const { stateDir } = stage.deployment
  const { state_id } = JSON.parse(await readFile(join(stateDir, 'state.json'), 'utf8')) as { state_id: string }
  return join(readEnvironment({ ...stage.system.env }).keyHome, state_id)
}

/** The newest state as the authority hands it to the agent. */
async function handedState(): Promise<{ readonly message: SignedTrustState; readonly state: TrustState }> {
  const { identity } = agent
  const response = await identity.call(new URL('/v1/trust-state', identity.authorityUrl), {
    audience: identity.authorityUrl,
    expectedId: identity.authorityId,
  })
  const message = parseTrustMessage(new TextDecoder().decode(await readBody(response, 1_000_000)).trim())
  assert.ok(!('code' in message) && message.kind === 'trust-state')
  const opened = openTrustState(message, {
    rootFingerprint: identity.rootFingerprint,
    trustDomain: identity.trustDomain,
    scope: 'callers',
    now: toSeconds(systemClock()),
    importP256,
    sha256,
  })
  assert.ok(!('code' in opened))
  return { message, state: opened.state }
}

describe('a recovery', () => {
  test('before it, a forged certificate is refused on its first use, because nobody has logged it', async () => {
    await stage.refuses(await forgedCertificate(), 'certificate_not_issued')
    await stage.passes({ caller: agent })
  })

  test('RV-6: replaces every key and denies the old ones, with its proof in a report that anybody can verify', async () => {
    const poison = await handedState()
    const old = agent.identity.credentials.current()
    const kept = await dial(stage.tlsOf(agent.identity))
    await stage.passes({ caller: agent, on: kept })
    const file = join(stage.system.folder, 'report.txt')
    const words = ['authority', 'recover', '--reason', 'keys were stolen', '--yes', '--report', file, '--json']
    const recovering = stage.system.run(words)
    // The forger tries all the time; so does the agent.
    let forged = 0
    const ended = new AbortController()
    const finished = recovering.finally(() => ended.abort())
    while (!ended.signal.aborted) {
      const answer = await stage.send(await forgedCertificate())
      assert.notEqual(answer?.headers['doorward-code'], 'allowed')
      forged++
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const { code, stdout, stderr } = await finished
    assert.equal(code, 0, stdout + stderr)
    assert.ok(forged > 3)

    const report = await reportIn(file)
    assert.deepEqual([report.verdict, report.ceremony.epoch], ['proven', 2])
    assert.deepEqual(
      report.stages.map(({ stage: name, straggling }) => [name, straggling]),
      ['prepare', 'delegate', 'publish', 'activate', 'reissue', 'deny', 'settle'].map((name) => [name, 0]),
    )
    const attempts = new Set(report.probes.map(({ attempt }) => attempt))
    assert.deepEqual([...attempts].toSorted(), ['certificate', 'control', 'live connection', 'resumption', 'token'])
    assert.deepEqual([...new Set(report.probes.map(({ listener }) => listener))].toSorted(), [
      'authority admin',
      'authority main main',
      'gateway admin',
      'gateway main',
    ])

    // Everybody legitimate has a certificate under a new anchor, without having joined again.
    assert.notEqual(agent.identity.credentials.current().fingerprint, old.fingerprint)
    assert.notEqual(agent.identity.credentials.current().certificate.authorityKeyId, keys.anchor.keyId)
    const session = await stage.initialize(now())
    await stage.passes({ caller: { ...now(), session } })

    // What the old keys have signed is refused: certificate, token, and the connection from before.
    const forgery = await forgedCertificate()
    await stage.refuses(forgery, 'certificate_untrusted')
    await stage.refuses({ caller: { ...now(), session }, token: await forgedToken() }, 'token_key_unknown')
    assert.equal(await stage.send({ caller: { ...now(), session }, on: kept }), null)

    // Nobody accepts a trust state by the old key for trust state, however new it says it is.
    const later = {
      ...poison.state,
      sequence: poison.state.sequence + 1000,
      epoch: 99,
      issuedAt: toSeconds(systemClock()),
    }
    const poisoned = await signTrustState(later, poison.message.delegation, { signKey: keys.trustState.key, sha256 })
    const accepted = await agent.identity.trustStore.accept(poisoned)
    assert.ok('code' in accepted && accepted.code === 'trust_state_rollback')

    // The old keys are gone for good, as soon as the authority has noticed the end: one is left of each kind.
    const folder = join(stateFolders(stage.deployment.stateDir).authority, 'keys')
    const isKey = (name: string) => /^(?:anchor|token|jwt-svid|trust-state)-/.test(name)
    const left = async () => ((await readdir(folder)).filter(isKey).length === 4 ? true : undefined)
    assert.ok(await stage.poll(left, 'the old keys gone', 10_000))
  })

  test('every step of it is on the record with its name', async () => {
    const entries = (await stage.entries('authority')).map(({ entry }) => entry.body)
    const started = entries.find(({ change }) => change === 'ceremony.start')
    const ofIt = entries.filter(({ ceremony }) => ceremony === started?.['ceremony'])
    const changes = ofIt.map(({ change }) => String(change))
    for (const wanted of [
      'ceremony.start',
      'anchor.prepare',
      'token.prepare',
      'jwt-svid.prepare',
      'trust-key.prepare',
      'delegation.accept',
      'anchor.publish',
      'anchor.activate',
      'anchor.reissue',
      'authority.deny',
      'canary.ask',
      'canary.sign',
      'ceremony.report',
    ])
      assert.ok(changes.includes(wanted), wanted)
    assert.equal(started?.['reason'], 'keys were stolen')
  })

  test('an emergency denies first, and everybody is back by the machine key', async () => {
    keys = await stealKeys(stage.system)
    const { fingerprint } = agent.identity.credentials.current()
    const words = ['authority', 'recover', '--reason', 'a thief at work', '--emergency', '--yes', '--json']
    const { code, stdout, stderr } = await stage.system.run(words)
    assert.equal(code, 0, stdout + stderr)
    const back = await stage.poll(
      async () => (agent.identity.credentials.current().fingerprint === fingerprint ? undefined : true),
      'the agent with a new certificate',
      20_000,
    )
    assert.equal(back, true)
    await stage.poll(async () => ((await stage.initialize(now())) === '' ? undefined : true), 'a session', 20_000)
    await stage.refuses(await forgedCertificate(), 'certificate_untrusted')
  })

  test('CA-4: another root signs nothing here', async () => {
    const { code, stdout } = await stage.system.run([
      'authority',
      'recover',
      '--reason',
      'by somebody else',
      '--root',
      await foreignRoot(),
      '--yes',
      '--json',
    ])
    assert.equal(code, 2)
    assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, 'root_other')
    await stage.operator.prepare()
    const newest = await stage.admin.newestCeremony()
    assert.equal(newest.reason, 'a thief at work')
  })
})

async function foreignRoot(): Promise<string> {
  const { path } = await createRecoveryRoot(join(stage.system.folder, 'other', 'root.pem'), sha256)
  return path
}
