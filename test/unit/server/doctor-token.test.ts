/** Why the doctor says that a token is refused: for each thing that a listener holds against it, and for nothing else. */

import { equal, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { chainClaim, epochSeconds, Secret, userClaim, userName } from '@doorward/core'
import type { AccessTokenClaims, EpochSeconds } from '@doorward/core'
import { tokenFindings } from '../../../packages/server/src/apps/doctor/token.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import { keySet, minted, platformKey } from '../../fixtures/platform-issuer.ts'
import { now, TrustFixture } from '../../fixtures/trust-fixture.ts'
import type { TestSvid } from '../../fixtures/trust-fixture.ts'

const file = '/nowhere/doorward.yaml'
const configuration = parseConfiguration('trust_domain: acme.example\n', file)
const deployment = deploymentOf({ file, folder: '/nowhere', configuration })
const alice = { issuer: 'https://login.acme.example', subject: 'alice', groups: [] }

interface Scene {
  readonly trust: TrustFixture
  readonly first: TestSvid
  readonly middle: TestSvid
  readonly last: TestSvid
}

let iat: EpochSeconds
before(() => {
  iat = epochSeconds(now() - 20)
})

async function scene(): Promise<Scene> {
  const trust = await TrustFixture.create('acme.example')
  const [first, middle, last] = [
    await trust.issue('agent/first'),
    await trust.issue('agent/middle'),
    await trust.issue('agent/last'),
  ]
  return { trust, first, middle, last }
}

const link = ({ certificate }: TestSvid, name: string, made: EpochSeconds = iat) => ({
  jti: `link-${name}`,
  iat: made,
  serial: certificate.serial,
  kid: `key-${name}`,
  anchor: `anchor-${name}`,
})

/** Of the first, by way of the one between, held by the last. */
function chained({ first, middle, last }: Scene): Partial<AccessTokenClaims> {
  const act = { sub: last.id.uri, act: { sub: middle.id.uri } }
  return { iat, nbf: iat, sub: first.id.uri, act, [chainClaim]: [link(middle, 'middle'), link(first, 'first')] }
}

/** What is held against the token, by the code that a listener gives. */
async function held({ trust, last }: Scene, claims: Partial<AccessTokenClaims>, own?: TestSvid): Promise<string> {
  const lived = { exp: epochSeconds(iat + 300), ...claims }
  return heldAgainst(await trust.token(last, deployment.gateway.publicUrl, lived), trust, deployment, own)
}

async function heldAgainst(token: string, trust: TrustFixture, by: typeof deployment, own?: TestSvid) {
  trust.apply()
  const findings = await tokenFindings({
    token: new Secret(token),
    deployment: by,
    identity: {
      id: trust.id('operator', 'local'),
      trust: trust.holder,
      trustDomain: trust.trustDomain,
      authorityUrl: trust.issuer,
      credentials: { peek: () => own ?? null },
    },
  })
  ok(!JSON.stringify(findings).includes(token))
  const found = findings.find(({ check }) => check === 'token_denied')
  ok(found !== undefined, JSON.stringify(findings))
  equal(found.next === undefined, found.verdict === 'fine')
  return found.verdict === 'fine' ? 'fine' : `${found.verdict} ${found.where}`
}

test('a chain is fine until one of its holders, their tokens, certificates, keys or registrations is not', async () => {
  const base = await scene()
  equal(await held(base, chained(base)), 'fine')
  const rows: readonly (readonly [string, (at: Scene) => void])[] = [
    ['a holder between', ({ trust, middle }) => trust.denied.identities.push(denied(middle, iat + 1))],
    ['the first holder', ({ trust, first }) => trust.denied.identities.push(denied(first, iat + 1))],
    ['a token between', ({ trust }) => trust.denied.tokens.push('link-middle')],
    ['the certificate of a holder', ({ trust, middle }) => trust.denied.serials.push(middle.certificate.serial)],
    ['the key of a token between', ({ trust }) => trust.denied.authorities.push('key-middle')],
    ['the authority of a holder', ({ trust }) => trust.denied.authorities.push('anchor-first')],
  ]
  for (const [what, change] of rows) {
    const changed = await scene()
    change(changed)
    equal(await held(changed, chained(changed)), 'failure chain_denied', what)
  }
  const trust = await TrustFixture.create('acme.example')
  const unregistered = {
    trust,
    first: await trust.issue('agent/first'),
    middle: await trust.issue('agent/middle', { registered: false }),
    last: await trust.issue('agent/last'),
  }
  equal(await held(unregistered, chained(unregistered)), 'failure chain_denied')
})

const denied = ({ id }: Pick<TestSvid, 'id'>, before: number) => ({
  id: id.uri,
  issuedBefore: epochSeconds(before),
})

test('who holds it is denied with what was given before, and a denial before that is of no weight', async () => {
  const at = await scene()
  at.trust.denied.identities.push(denied(at.last, iat))
  equal(await held(at, chained(at)), 'fine')
  at.trust.denied.identities.push(denied(at.last, iat + 1))
  equal(await held(at, chained(at)), 'failure identity_denied')
  const gone = await scene()
  const trust = await TrustFixture.create('acme.example')
  const last = await trust.issue('agent/last', { registered: false })
  equal(await held({ ...gone, trust, last }, { sub: last.id.uri, iat, nbf: iat }), 'failure identity_unregistered')
})

test('of a token that is bound to the certificate of who looks, the serial is asked for too', async () => {
  const at = await scene()
  equal(await held(at, { iat, nbf: iat }, at.last), 'fine')
  at.trust.denied.serials.push(at.last.certificate.serial)
  equal(await held(at, { iat, nbf: iat }, at.last), 'failure certificate_denied')
})

test('a token that was made after a person was denied, of a sign-in before, is denied', async () => {
  const at = await scene()
  const { middle, last, trust } = at
  const signIn = epochSeconds(iat - 60)
  const forAlice = {
    iat,
    nbf: iat,
    sub: userName(alice),
    [userClaim]: alice,
    act: { sub: last.id.uri, act: { sub: middle.id.uri } },
    [chainClaim]: [link(middle, 'sign-in', signIn)],
  }
  equal(await held(at, forAlice), 'fine')
  trust.denied.identities.push({ id: userName(alice), issuedBefore: signIn })
  equal(await held(at, forAlice), 'fine')
  trust.denied.identities.splice(0, 1, { id: userName(alice), issuedBefore: epochSeconds(iat - 1) })
  equal(await held(at, forAlice), 'failure identity_denied')
})

const edgeYaml = `
trust_domain: acme.example
listeners: { edge: "0.0.0.0:443" }
issuers: { corp: { issuer: "https://login.acme.example", jwks_file: corp.jwks.json, algorithms: [ES256] } }
servers: { notes: { url: "https://notes.acme.example/mcp" } }
edge:
  public_url: https://mcp.acme.example
  certificate: { file: edge.pem, key_file: edge.key }
  issuers: [corp]
  servers: [notes]
  clients: { claude: [claude-client-id] }
`

test('a token of an issuer is denied by the id that the edge gives it, by its person, and by its client', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-doctor-token-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const key = platformKey('ES256', 'corp')
  await writeFile(join(folder, 'corp.jwks.json'), keySet(key))
  const at = join(folder, 'doorward.yaml')
  const edge = deploymentOf({ file: at, folder, configuration: parseConfiguration(edgeYaml, at) })
  const claims = {
    iss: alice.issuer,
    sub: alice.subject,
    aud: 'https://mcp.acme.example/mcp/notes',
    jti: 'one-of-theirs',
    client_id: 'claude-client-id',
    iat,
    exp: iat + 300,
    cnf: { jkt: 'A'.repeat(43) },
  }
  const token = await minted(key, claims, { typ: 'at+jwt' })
  const against = async (change: (denied: TrustFixture['denied']) => unknown) => {
    const trust = await TrustFixture.create('acme.example')
    change(trust.denied)
    return heldAgainst(token, trust, edge)
  }
  const id = createHash('sha256').update(`${alice.issuer}\0one-of-theirs`).digest('base64url').slice(0, 22)
  const later = epochSeconds(iat + 1)
  equal(await against(() => undefined), 'fine')
  // Ids are unique per issuer only: that of another one is no denial of this.
  equal(await against(({ tokens }) => tokens.push('one-of-theirs')), 'fine')
  equal(await against(({ tokens }) => tokens.push(id)), 'failure token_denied')
  equal(
    await against(({ identities }) => identities.push({ id: userName(alice), issuedBefore: later })),
    'failure identity_denied',
  )
  const client = 'spiffe://acme.example/edge/claude'
  equal(
    await against(({ identities }) => identities.push({ id: client, issuedBefore: later })),
    'failure identity_denied',
  )
})
