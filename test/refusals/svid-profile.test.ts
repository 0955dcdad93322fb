/**
 * Certificates that are SVIDs in all but one thing, signed by the anchor of the running authority: published
 * path-validation cases minted again. What is right in every way gets as far as the issuance mirror.
 */

import { after, before, describe, test } from 'node:test'
import type { KeyObject } from 'node:crypto'
import { anchorName } from '@doorward/core'
import { generateP256 } from '@doorward/sdk'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { StolenKeys } from '../fixtures/stolen-keys.ts'
import { now, pemOf } from '../fixtures/trust-fixture.ts'
import { assembleBy, commonName, der, extension, goodLeaf, time, uriNames } from '../unit/core/identity-fixture.ts'
import { formCases, keyPairOf, usageCases } from '../unit/core/limbo-svids.ts'
import type { Change, KeyKind } from '../unit/core/limbo-svids.ts'
import { Stage } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

let stage: Stage
let agent: Caller
let keys: StolenKeys

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  keys = await stealKeys(stage.system)
})
after(() => stage.close())

const instant = (secondsFromNow: number) =>
  time(`${new Date((now() + secondsFromNow) * 1000).toISOString().replaceAll(/\D/g, '').slice(2, 14)}Z`)
const names = (...uris: readonly string[]): Change => ({ names: extension('11', true, uriNames(...uris)) })

/** A leaf of the caller's name by the stolen anchor. */
async function minted(change: Change, key?: KeyObject): Promise<{ readonly cert: string; readonly key: string }> {
  const privateKey = key ?? (await generateP256()).privateKey
  const issuer = { name: anchorName(keys.trustDomain, keys.anchor.keyId), keyId: keys.anchor.keyId }
  const certificate = keys.read(keys.anchor.certificate ?? new Uint8Array())
  const parts = {
    ...goodLeaf({ certificate, issuer }, privateKey),
    validity: der(0x30, instant(-60), instant(600)),
    ...names(agent.id),
    ...change,
  }
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  return { cert: pemOf(await assembleBy(parts, keys.anchor.key)), key: pkcs8 }
}

/** The right request passes; with the certificate alone another one it is refused. */
async function refused(code: string, change: Change, key?: KeyObject): Promise<void> {
  await stage.contrast({ caller: agent }, { connect: await minted(change, key) }, code)
}

/** What TLS itself refuses, before we read the certificate; what we cannot read; and what has no issuer here. */
const otherwise: Readonly<Record<string, string>> = {
  'rfc5280::ee-empty-issuer': 'certificate_untrusted',
  'rfc5280::unknown-critical-extension-ee': 'certificate_untrusted',
  'rfc5280::ee-critical-aia-invalid': 'certificate_untrusted',
  'rfc5280::mismatching-signature-algorithm': 'certificate_untrusted',
  'rfc5280::eku::ee-eku-empty': 'certificate_untrusted',
  'rfc5280::ca-as-leaf': 'certificate_untrusted',
  'rfc5280::ca-as-leaf-wrong-san': 'certificate_untrusted',
  'rfc5280::aki::leaf-missing-aki': 'certificate_untrusted',
  'rfc5280::duplicate-extensions': 'certificate_missing',
  'webpki::malformed-aia': 'certificate_missing',
}

describe('X5-7: what the anchor signed is refused at the gateway', () => {
  for (const [id, code, change] of [...formCases, ...usageCases]) {
    // Times are those of a fixed day there; here tls-handshake.test.ts has them.
    if (id.startsWith('rfc5280::validity')) continue
    const expected = code === null ? 'certificate_not_issued' : (otherwise[id] ?? 'certificate_profile')
    test(`${id}: ${expected}`, () => refused(expected, change()))
  }
  const kinds: readonly (readonly [KeyKind, string])[] = [
    ['p384', 'certificate_profile'],
    ['rsa2052', 'certificate_profile'],
    ['explicit', 'certificate_untrusted'],
  ]
  for (const [kind, code] of kinds) {
    test(`a key of the kind ${kind}: ${code}`, () => refused(code, {}, keyPairOf(kind).privateKey))
  }
})

describe('X5-1, X5-2: whom the anchor’s signature names is refused at the gateway', () => {
  const bad: readonly (readonly [what: string, change: () => Change])[] = [
    ['the same id twice', () => names(agent.id, agent.id)],
    ['another id beside the own', () => names(agent.id, 'spiffe://test.example/operator/admin')],
    ['no path', () => names('spiffe://test.example')],
    ['an empty segment', () => names('spiffe://test.example/agent//planner')],
    ['a wildcard', () => names('spiffe://test.example/agent/*')],
    ['an uppercase trust domain', () => names('spiffe://Test.example/agent/planner')],
    ['another trust domain', () => names('spiffe://other.example/agent/planner')],
    ['a common name alone', () => ({ names: new Uint8Array(), subject: commonName(agent.id) })],
    ['names that are not critical', () => ({ names: extension('11', false, uriNames(agent.id)) })],
  ]
  for (const [what, change] of bad) {
    test(`${what}: certificate_profile`, () => refused('certificate_profile', change()))
  }
  test('a NUL in the id: certificate_missing', () => refused('certificate_missing', names(`${agent.id}\0x`)))
})

test('X5-7: the authority refuses them as the gateway does', async () => {
  const { listeners } = stage.deployment.authority
  const { host, port } = listeners.main
  const attempt = async (change: Change): Promise<Attempt> => ({
    caller: agent,
    target: '/v1/token',
    headers: { Host: `${host}:${port}`, 'Content-Type': 'application/x-www-form-urlencoded', Accept: null },
    body: () => `grant_type=client_credentials&resource=${encodeURIComponent(stage.audience())}`,
    connect: { ...listeners.main, ...(await minted(change)) },
    log: 'authority',
  })
  await stage.refuses(await attempt({}), 'certificate_not_issued')
  await stage.refuses(await attempt({ keyUsage: new Uint8Array() }), 'certificate_profile')
  await stage.refuses(await attempt(names('spiffe://other.example/agent/planner')), 'certificate_profile')
  await stage.refuses(await attempt({ authorityKeyId: new Uint8Array() }), 'certificate_untrusted')
})

test('the record counts each of these refusals by its reason, and no others', () => stage.settle())
