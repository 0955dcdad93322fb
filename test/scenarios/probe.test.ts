/** `doorward probe` against a deployment as it ships: everything is refused as it must be, nothing is left, and a broken promise is told. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { forgedTokens } from '../../packages/server/src/apps/probe/forged-tokens.ts'
import { adr0011 } from '../requirements/adr-0011.ts'
import { adrOs025 } from '../requirements/adr-os-025.ts'
import { probedControls } from '../controls/probed-controls.ts'
import type { TestDeployment } from '../fixtures/deployment.ts'
import { ProbeStage } from '../fixtures/probe-stage.ts'

let system: TestDeployment
/** For these one has to wait, or to stop the authority, or to be slower than the limit. */
const notRun = ['expiry', 'authority', 'limits-handshakes']

before(async () => {
  const stage = await ProbeStage.prepare()
  system = stage.system
  await system.up()
})
after(() => system.remove())

interface Report {
  readonly ok: boolean
  readonly passed: number
  readonly failed: number
  readonly not_run: number
  readonly attempts: readonly {
    readonly id: string
    readonly kind: string
    readonly requirement: string
    readonly verdict: string
    readonly got: string
  }[]
}

test('everything is refused as it must be, is on the record, and leaves nobody behind', async () => {
  const [file, junit] = [join(system.folder, 'probe.json'), join(system.folder, 'probe.xml')]
  const { code, stdout, stderr } = await system.run(['probe', '--json', '--report', file, '--junit', junit])
  ok(stdout !== '', stderr)
  const report = JSON.parse(stdout) as Report
  deepEqual(
    report.attempts.filter(
      ({ verdict, kind, id }) => verdict !== (notRun.includes(kind) || notRun.includes(id) ? 'not_run' : 'passed'),
    ),
    [],
  )
  equal(code, 0)
  ok(report.attempts.filter(({ id }) => id.startsWith('token-')).length >= 60)
  const known = new Set([...Object.keys(adr0011), ...Object.keys(adrOs025)])
  for (const { id, requirement } of report.attempts) ok(known.has(requirement), `${id}: ${requirement}`)
  const tried = new Set(report.attempts.map(({ id }) => id))
  deepEqual(
    probedControls.flatMap(({ attempts }) => attempts).filter((id) => !tried.has(id)),
    [],
  )
  const { stdout: workloads } = await system.run(['workload', 'list', '--json'])
  ok(!workloads.includes('/probe/'), workloads)
  match(
    await readFile(junit, 'utf8'),
    new RegExp(`tests="${report.attempts.length}" failures="0" skipped="${report.not_run}"`),
  )
  await signedByTheOperator(file)
  await provenByTheCommand(file)
})

async function provenByTheCommand(file: string): Promise<void> {
  const answer = await system.run(['probe', '--verify', file, '--json'])
  equal(answer.code, 0, answer.stdout)
  const told = JSON.parse(answer.stdout) as Readonly<Record<string, unknown>>
  equal(told['ok'], true)
  match(String(told['by']), /^spiffe:\/\/test\.example\/operator\//)
  const [text, signed] = [await readFile(file, 'utf8'), await readFile(`${file}.jws`, 'utf8')]
  const [head = '', payload = '', signature = ''] = signed.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
  const changed = Buffer.from(JSON.stringify({ ...claims, by: 'spiffe://test.example/agent/x' })).toString('base64url')
  const wrong = [
    [text.replace('"passed"', '"failed"'), signed],
    [text, `${head}.${changed}.${signature}`],
    [text, 'no signature'],
  ] as const
  const other = join(system.folder, 'other.json')
  for (const [report, proof] of wrong) {
    await writeFile(other, report)
    await writeFile(`${other}.jws`, proof)
    const { code, stdout } = await system.run(['probe', '--verify', other, '--json'])
    equal(code, 1, stdout)
    match(stdout, /report_unproven/)
  }
  equal((await system.run(['probe', '--verify', join(system.folder, 'nowhere.json'), '--json'])).code, 2)
  equal((await system.run(['probe', '--verify', file, '--only', 'token', '--json'])).code, 2)
}

/** The digest in the signature is that of the file, and the key is that of the certificate which the signature names. */
async function signedByTheOperator(file: string): Promise<void> {
  const [header = '', payload = '', signature = ''] = (await readFile(`${file}.jws`, 'utf8')).trim().split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Readonly<Record<string, string>>
  equal(
    claims['sha256'],
    createHash('sha256')
      .update(await readFile(file))
      .digest('base64url'),
  )
  const identity = await system.identity(String(claims['by']).split('/').slice(3).join('/'))
  try {
    const { fingerprint, certificate } = identity.credentials.current()
    equal(fingerprint, claims['x5t#S256'])
    const key = createPublicKey({ key: Buffer.from(certificate.publicKeySpki), format: 'der', type: 'spki' })
    const shown = { key, dsaEncoding: 'ieee-p1363' } as const
    ok(verify('sha256', Buffer.from(`${header}.${payload}`), shown, Buffer.from(signature, 'base64url')))
  } finally {
    identity.close()
  }
}

test('a promise that is not kept ends with exit code 1, and is named with its requirement wherever it is told', async () => {
  const text = await readFile(system.configFile, 'utf8')
  // What runs lets in more than this configuration says.
  await writeFile(system.configFile, text.replace('connections_per_ip: 100', 'connections_per_ip: 20'))
  const [file, junit] = [join(system.folder, 'failed.json'), join(system.folder, 'failed.xml')]
  try {
    const words = ['probe', '--only', 'limits-connections', '--junit', junit, '--report', file]
    const { code, stdout, stderr } = await system.run(words)
    equal(code, 1, stderr)
    match(stdout, /limits-connections .*ADR11-DEC-8/)
    match(stderr, /a promise is not kept/)
    const report = JSON.parse(await readFile(file, 'utf8')) as Report
    deepEqual([report.ok, report.failed], [false, 1])
    match(
      await readFile(junit, 'utf8'),
      /failures="1"[^]*limits-connections: [^]*\[ADR11-DEC-8\]"[^]*<failure message=/,
    )
  } finally {
    await writeFile(system.configFile, text)
  }
})

test('where nobody is let in no refusal proves anything, and that is said', async () => {
  const { code, stdout } = await system.run(['probe', '--role', 'admin', '--server', 'none', '--json'])
  equal(code, 2)
  match(stdout, /server_unknown/)
})

test('tokens that are forged are all different, and none is the good one', () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const good = `${part({ alg: 'ES256', typ: 'at+jwt', kid: 'k' })}.${part({ sub: 's', exp: 1 })}.${randomBytes(64).toString('base64url')}`
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const texts = forgedTokens(good, publicKey).map(({ text }) => text)
  ok(texts.length >= 60)
  ok(!texts.includes(good))
  ok(new Set(texts).size >= texts.length - 2)
})
