/** Joining by command in every way there is, against a deployment as a person starts it; and what a copied folder leads to. */

import assert from 'node:assert/strict'
import { cp, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openIdentity } from '@doorward/sdk'
import { identityHome } from '../../packages/server/src/apps/local-identities.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { foreign, foreignKey, pemFile } from '../fixtures/foreign-certificates.ts'
import {
  documentServer,
  githubClaims,
  gitlabClaims,
  keySet,
  kubernetesClaims,
  minted,
  platformKey,
} from '../fixtures/platform-issuer.ts'
import type { DocumentServer } from '../fixtures/platform-issuer.ts'

let system: TestDeployment
let issuer: DocumentServer
const clusterKey = platformKey('RS256', 'cluster-1')
const githubKey = platformKey('RS256', 'github-1')
const gitlabKey = platformKey('EdDSA', 'gitlab-1')
const devices = foreign({ subject: ['Devices'], key: foreignKey('rsa2048'), ca: true })

before(async () => {
  issuer = await documentServer()
  const gitlab = `${issuer.url}/gitlab`
  issuer.documents.set('/github/keys', keySet(githubKey))
  issuer.documents.set('/gitlab/keys', keySet(gitlabKey))
  const discovery = { issuer: gitlab, jwks_uri: `${gitlab}/keys` }
  issuer.documents.set('/gitlab/.well-known/openid-configuration', JSON.stringify(discovery))
  system = await TestDeployment.prepare({
    authority: `  attestors:
    oidc:
      cluster: { issuer: "https://kubernetes.default.svc.cluster.local", audience: doorward, jwks_file: cluster.json }
      github:
        issuer: https://token.actions.githubusercontent.com
        audience: doorward-acme
        jwks_url: ${issuer.url}/github/keys
        ca_file: issuer.pem
        allow_private_addresses: true
      gitlab:
        issuer: ${gitlab}
        audience: doorward-acme
        ca_file: issuer.pem
        allow_private_addresses: true
        algorithms: [EdDSA]
    x509:
      devices: { ca_file: devices.pem }
`,
    yaml: wideLimits,
  })
  await writeFile(file('cluster.json'), keySet(clusterKey))
  await writeFile(file('issuer.pem'), issuer.ca)
  await writeFile(file('devices.pem'), pemFile(devices))
  await system.up()
})
after(async () => {
  await system.remove()
  await issuer.close()
})

function file(name: string): string {
  return join(system.folder, name)
}

async function done(...words: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const { code, stdout, stderr } = await system.run([...words, '--json'])
  assert.equal(code, 0, `${words.join(' ')}: ${stderr} ${stdout}`)
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>
}

async function failed(...words: readonly string[]): Promise<{ readonly exit: number | null; readonly code: string }> {
  const { code: exit, stdout } = await system.run([...words, '--json'])
  const { error } = JSON.parse(stdout) as { readonly error: { readonly code: string } }
  return { exit, code: error.code }
}

/** Registers by command; the join string it prints has no token. */
async function registered(name: string, attest: string): Promise<string> {
  const path = file(`${name}.join`)
  const told = await done('workload', 'add', `agent/${name}`, '--attest', attest, '--out', path)
  assert.equal(told['expires_at'], null)
  return path
}

/** The identity renews by itself: what it joined by is not needed again. */
async function renews(name: string): Promise<void> {
  const identity = await system.identity(`agent/${name}`)
  try {
    await identity.renew()
  } finally {
    identity.close()
  }
}

test('BS-1: a pod joins by its projected service-account token, a job of GitHub and one of GitLab by theirs', async () => {
  const claims = '/kubernetes.io/namespace=agents,/kubernetes.io/serviceaccount/name=planner'
  const tokens = {
    pod: [`oidc:cluster,${claims}`, await minted(clusterKey, kubernetesClaims())],
    github: [
      'oidc:github,repository=acme/app,ref=refs/heads/main',
      await minted(githubKey, githubClaims(), { typ: 'JWT' }),
    ],
    gitlab: [
      'oidc:gitlab,project_path=acme/app',
      await minted(gitlabKey, gitlabClaims({ iss: `${issuer.url}/gitlab` })),
    ],
  } as const
  for (const [name, [attest, token]] of Object.entries(tokens)) {
    const joinFile = await registered(name, attest)
    await writeFile(file(`${name}.token`), `${token}\n`)
    const words = ['join', '--file', joinFile, '--attest', 'oidc', '--token-file', file(`${name}.token`)]
    assert.equal((await done(...words))['id'], `spiffe://test.example/agent/${name}`)
    await renews(name)
  }
})

test('a device joins by the certificate that it has', async () => {
  const device = foreign({ subject: [], key: foreignKey('p256'), ca: false, dns: ['device-7.acme.example'] }, devices)
  await writeFile(file('device.pem'), pemFile(device))
  await writeFile(file('device.key'), device.key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const joinFile = await registered('device', 'x509_pop:devices,dns=device-7.acme.example')
  const words = ['join', '--file', joinFile, '--attest', 'x509', '--cert', file('device.pem')]
  const other = foreignKey('p256').export({ type: 'pkcs8', format: 'pem' })
  await writeFile(file('other.key'), other, { mode: 0o600 })
  assert.deepEqual(await failed(...words, '--key', file('other.key')), { exit: 1, code: 'join_refused' })
  await done(...words, '--key', file('device.key'))
  await renews('device')
})

test('BS-2: a key that is made here and registered by its thumbprint joins without any secret', async () => {
  const { thumbprint } = await done('workload', 'key', 'agent/bound')
  assert.deepEqual((await done('workload', 'key', 'agent/bound'))['thumbprint'], thumbprint)
  const joinFile = await registered('bound', `bound_key:${String(thumbprint)}`)
  await done('join', '--file', joinFile, '--attest', 'bound-key')
  await renews('bound')
})

test('evidence of another kind, or for another workload, is refused with exit code 1', async () => {
  const joinFile = await registered('strict', 'oidc:github,repository=acme/other')
  await writeFile(file('strict.token'), await minted(githubKey, githubClaims()))
  const byToken = ['--attest', 'oidc', '--token-file', file('strict.token')]
  assert.deepEqual(await failed('join', '--file', joinFile, ...byToken), { exit: 1, code: 'join_refused' })
  assert.deepEqual(await failed('join', '--file', joinFile, '--attest', 'bound-key'), { exit: 1, code: 'join_refused' })
  assert.deepEqual(await failed('join', '--file', joinFile), { exit: 1, code: 'join_refused' })
})

test('BS-5: a join string is taken from no argument, and evidence only from files', async () => {
  const { join_string } = await done('workload', 'add', 'agent/careful')
  const text = String(join_string)
  for (const words of [[text], ['--join-string', text], ['--attest', 'oidc', '--token', text]])
    assert.equal((await system.run(['join', ...words])).code, 2, words[0])
  assert.equal((await failed('join')).code, 'join_string_invalid')
  assert.equal((await system.run(['join'], text)).code, 0)
})

test('BS-2, OP-10, DT-3: of a copied identity folder one is exposed, its instance locked, the other instances serve on', async () => {
  const place = { deployment: await system.deployment(), environment: readEnvironment({ ...system.env }) }
  const { folder, sealer } = await identityHome(place)
  const original = await system.identity('agent/copied')
  await cp(join(folder, 'agent', 'copied'), file('stolen'), { recursive: true })
  await done('workload', 'invite', 'agent/copied', '--out', file('second.join'))
  await original.renew()
  await original.renew()
  const copy = await openIdentity({ folder: file('stolen'), sealer })
  await assert.rejects(copy.renew(), { code: 'instance_locked' })
  copy.close()
  await assert.rejects(original.renew())
  original.close()
  const { instances } = await done('workload', 'show', 'agent/copied')
  assert.ok((instances as readonly { readonly locked: unknown }[]).every(({ locked }) => locked !== null))
  await until(() =>
    system.events.some(({ text }) => String(text).startsWith('DT-3 spiffe://test.example/agent/copied#')),
  )
  // The operator invites anew; the same folder heals, with another key.
  await done('join', '--file', file('second.join'))
  await renews('copied')
  assert.ok((await stat(join(folder, 'agent', 'copied', 'machine.key'))).isFile())
})

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('not in time')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
