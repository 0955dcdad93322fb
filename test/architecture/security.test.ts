/** `npm run security`: each check finds what is planted for it, and what is committed has nothing of the kind. */

import { deepEqual, equal, match, throws } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkAdvisories, inRange } from '../../scripts/security/advisories.ts'
import type { AdvisoryList } from '../../scripts/security/advisories.ts'
import { auditResult } from '../../scripts/security/audit.ts'
import { checksOf } from '../../scripts/security/checks.ts'
import { exceptionsOn } from '../../scripts/security/exceptions.ts'
import type { Exception } from '../../scripts/security/exceptions.ts'
import { lockedPackages } from '../../scripts/security/lock.ts'
import { checkLicences, checkOrigins } from '../../scripts/security/packages.ts'
import { longParts, partResult } from '../../scripts/security/parts.ts'
import { checkSecrets } from '../../scripts/security/secrets.ts'
import type { CommittedFile, KnownSecret } from '../../scripts/security/secrets.ts'

const root = new URL('../..', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
// A package of the sources has no git to say what is committed.
const committed = existsSync(new URL('.git', root)) ? 'passed' : 'not_run'
const list = JSON.parse(read('scripts/security/advisories.json')) as AdvisoryList

const planted = {
  name: 'lodash',
  version: '4.17.20',
  license: 'MIT',
  dev: false,
  hasInstallScript: false,
  integrity: 'sha512-x',
  resolved: null,
}

test('a dependency with a known hole is found, until an exception with reason and end says otherwise', () => {
  const asked = { packages: [planted], list, exceptions: [], today: list.asOf }
  const found = checkAdvisories(asked)
  equal(found.verdict, 'failed')
  match(found.findings[0] ?? '', /high: lodash 4\.17\.20 \(CVE-2021-23337\)/)
  equal(checkAdvisories({ ...asked, packages: [{ ...planted, version: '4.17.21' }] }).verdict, 'passed')
  const exception = { id: 'CVE-2021-23337', package: 'lodash', reason: 'no templates', until: '2027-01-01' }
  equal(checkAdvisories({ ...asked, exceptions: [exception] }).verdict, 'passed')
  const ended = checkAdvisories({ ...asked, exceptions: [{ ...exception, until: list.asOf }] })
  equal(ended.findings.length, 2)
  match(ended.findings.join(), /the exception .* ended/)
})

test('an exception that has no reason, no end, or one that is far, excuses nothing', () => {
  const good = { id: 'CVE-2021-23337', package: 'lodash', reason: 'no templates', until: '2027-01-01' }
  const today = list.asOf
  deepEqual(exceptionsOn(today, [good]), { inForce: [good], findings: [] })
  for (const change of [{ reason: ' ' }, { until: 'never' }, { until: '2027-13-01' }, { until: '2099-01-01' }]) {
    const { inForce, findings } = exceptionsOn(today, [{ ...good, ...change }])
    deepEqual([inForce.length, findings.length], [0, 1], JSON.stringify(change))
    const exceptions = [{ ...good, ...change }]
    equal(checkAdvisories({ packages: [planted], list, exceptions, today }).findings.length, 2)
  }
})

test('a list that nobody has looked at for long is a finding', () => {
  const later = new Date(Date.parse(list.asOf) + 91 * 86_400_000).toISOString().slice(0, 10)
  const { findings } = checkAdvisories({ packages: [], list, exceptions: [], today: later })
  match(findings[0] ?? '', /91 days old/)
})

test('ranges of versions', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['1.2.3', '<1.2.3', false],
    ['1.2.2', '<1.2.3', true],
    ['2.0.1', '>=1.0.0 <1.1.12 || >=2.0.0 <2.0.2', true],
    ['1.5.0', '>=1.0.0 <1.1.12 || >=2.0.0 <2.0.2', false],
    ['4.4.2', '=4.4.2', true],
    ['1.10.0', '<1.9.0', false],
    ['1.2.3-beta.1', '>=1.2.3', true],
  ]
  for (const [version, range, expected] of rows) equal(inRange(version, range), expected, `${version} ${range}`)
  throws(() => inRange('1.0.0', '^1.0.0'), /not a bound/)
  for (const { vulnerable } of list.advisories) inRange('1.0.0', vulnerable)
})

test('a registry that does not answer is not run, and never passed', () => {
  equal(auditResult('{"message":"405 Method Not Allowed"}', null).verdict, 'not_run')
  equal(auditResult('', 'timed out').verdict, 'not_run')
  equal(auditResult('<html>', null).verdict, 'not_run')
  equal(auditResult('{"vulnerabilities":{}}', null).verdict, 'passed')
  equal(auditResult('{"vulnerabilities":{"x":{"severity":"high","range":"<1"}}}', null).verdict, 'failed')
})

test('an exception is for one advisory of the registry: the next one of the same package is found', () => {
  const via = (ghsa: string) => ({
    name: 'x',
    title: 'a hole',
    url: `https://github.com/advisories/${ghsa}`,
    severity: 'high',
    range: '<1',
  })
  const [first, second] = [via('GHSA-aaaa-bbbb-cccc'), via('GHSA-dddd-eeee-ffff')]
  const known = { id: 'CVE-1', package: 'x', reason: 'not reached', until: '2027-01-01' }
  const excused = { ...known, ghsa: 'GHSA-aaaa-bbbb-cccc' }
  const found = (of: object, exceptions: readonly Exception[] = [excused]) =>
    auditResult(JSON.stringify({ vulnerabilities: of }), null, exceptions)
  const one = { x: { severity: 'high', range: '<1', via: [first] } }
  equal(found(one).verdict, 'passed')
  equal(found(one, [known]).verdict, 'failed')
  equal(found(one, [{ ...excused, package: 'y' }]).verdict, 'failed')
  deepEqual(found({ x: { severity: 'high', range: '<1', via: [first, second] } }).findings, [
    'high: x <1 (GHSA-dddd-eeee-ffff): a hole',
  ])
  // What needs it is excused with it, and found with it.
  const needed = { severity: 'high', range: '*', via: ['x'] }
  equal(found({ ...one, y: needed }).verdict, 'passed')
  equal(found({ x: { via: [second] }, y: needed }).findings.length, 1)
  for (const nowhere of [{ y: needed }, { x: { via: ['y'] }, y: needed }, { x: { via: [] } }])
    equal(found(nowhere).verdict, 'failed', JSON.stringify(nowhere))
})

test('a package without an accepted licence, from elsewhere, unpinned, or with a script of its own', () => {
  const none = () => null
  equal(checkLicences({ packages: [planted], installedLicense: none }).verdict, 'passed')
  for (const license of ['GPL-3.0-only', 'UNLICENSED', null])
    equal(checkLicences({ packages: [{ ...planted, license }], installedLicense: none }).verdict, 'failed')
  equal(checkOrigins([planted], new Set()).verdict, 'passed')
  const others = [
    { resolved: 'https://attacker.example/x.tgz' },
    { integrity: 'sha1-x' },
    { integrity: null },
    { hasInstallScript: true },
  ]
  for (const change of others) equal(checkOrigins([{ ...planted, ...change }], new Set(['lodash'])).verdict, 'failed')
})

test('secrets of every form are found where they are committed', () => {
  // Put together here, so that this file holds none.
  const long = 'A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3x4Y5z6'
  const rows = [
    ['-----BEGIN', 'PRIVATE', `KEY-----\n${long}`].join(' '),
    ['-----BEGIN', 'PRIVATE', `KEY-----\\n${long}`].join(' '),
    ['AKIA', 'ABCDEFGHIJKLMNOP'].join(''),
    `ghp_${long.slice(0, 36)}`,
    `npm_${long.slice(0, 36)}`,
    `xoxb-${long}`,
    `AIza${long.slice(0, 35)}`,
    `sk-ant-${long}`,
    `sk_live_${long}`,
    `eyJ${long}.eyJ${long}.${long}`,
    `{"d":"${long.slice(0, 43)}"}`,
  ]
  for (const text of rows) equal(checkSecrets([file('a', `x = '${text}'`)], []).verdict, 'failed', text.slice(0, 8))
})

const file = (path: string, text: string | Uint8Array) => ({ path, bytes: Buffer.from(text) })

/** As a finding tells them, to be known. */
function knownOf(files: readonly CommittedFile[]): readonly KnownSecret[] {
  return checkSecrets(files, []).findings.map((line) => {
    const [, path = '', what = '', digest = ''] = /^(.+?): (.+?), ([0-9a-f]{16});/.exec(line) ?? []
    return { path, what, digest, reason: 'made for a test' }
  })
}

test('a secret that is known is this one in this file: another, elsewhere, or none any more, is found', () => {
  const [key, next] = ['P', 'Q'].map((end) => ['AKIA', 'ABCDEFGHIJKLMNO', end].join(''))
  const known = knownOf([file('a', `x ${key}`)])
  const verdict = (...files: readonly CommittedFile[]) => checkSecrets(files, known).verdict
  equal(verdict(file('a', `other words, ${key} ${key}`)), 'passed')
  equal(verdict(file('a', `${key} ${next}`)), 'failed')
  equal(verdict(file('a', `${key} ghp_${'A1b2C3d4E5f6'.repeat(3)}`)), 'failed')
  equal(verdict(file('a', `${key}`), file('b', `${key}`)), 'failed')
  equal(verdict(file('a', 'nothing')), 'failed')
  equal(
    checkSecrets(
      [file('a', `${key}`)],
      known.map((one) => ({ ...one, reason: '' })),
    ).verdict,
    'failed',
  )
  // Keys of one kind begin alike: the digest is of the whole key.
  const pem = (end: string) => file('a', ['-----BEGIN', 'PRIVATE', `KEY-----\n${'A'.repeat(64)}\n${end}`].join(' '))
  equal(checkSecrets([pem('B')], knownOf([pem('B')])).verdict, 'passed')
  equal(checkSecrets([pem('C')], knownOf([pem('B')])).verdict, 'failed')
})

test('what cannot be read for secrets is found, unless it is known as it is', () => {
  const secret = `ghp_${'A1b2C3d4E5f6'.repeat(3)}`
  const large = 'x'.repeat(2 * 1024 * 1024)
  const hidden = [`${large}${secret}`, `\0${secret}`, `${'x'.repeat(9000)}\0`, Buffer.from(secret, 'utf16le')]
  for (const bytes of hidden) {
    const files = [file('a.bin', bytes)]
    const { verdict, findings } = checkSecrets(files, [])
    equal(verdict, 'failed')
    match(findings[0] ?? '', /^a\.bin: a file that is not read/)
    equal(checkSecrets(files, knownOf(files)).verdict, 'passed')
    equal(
      checkSecrets([file('a.bin', Buffer.concat([Buffer.from(bytes), Buffer.from('y')]))], knownOf(files)).verdict,
      'failed',
    )
  }
})

test('a repository with a vulnerable dependency, a secret and an unsafe pattern fails for each of them', async (t) => {
  const seeded = await mkdtemp(join(tmpdir(), 'doorward-seeded-'))
  t.after(() => rm(seeded, { recursive: true, force: true }))
  const known = join('scripts', 'security')
  await cp(new URL('scripts/security', root), join(seeded, known), { recursive: true })
  await writeFile(join(seeded, known, 'known-secrets.json'), '[]')
  const git = (...words: readonly string[]) => equal(spawnSync('git', words, { cwd: seeded }).status, 0)
  git('init', '-q')
  const lodash = { resolved: 'https://registry.npmjs.org/lodash/-/lodash.tgz', integrity: 'sha512-x', license: 'MIT' }
  const entries = (version: string) => ({ '': {}, 'node_modules/lodash': { ...lodash, version } })
  const seed = async (version: string, config: string) => {
    const lock = { lockfileVersion: 3, packages: entries(version) }
    await writeFile(join(seeded, 'package-lock.json'), JSON.stringify(lock))
    await writeFile(join(seeded, 'config.yaml'), config)
    git('add', '-A')
    return checksOf({ root: seeded, today: list.asOf, lint: false })
      .filter(({ name }) => name === 'advisories' || name === 'secrets')
      .map(({ run }) => run())
  }
  const clean = await seed('4.17.21', 'token: none\n')
  deepEqual(
    clean.map(({ verdict }) => verdict),
    ['passed', 'passed'],
  )
  const bad = await seed('4.17.20', `token: ghp_${'A1b2C3d4E5f6'.repeat(3)}\n`)
  match(bad[0]?.findings.join() ?? '', /CVE-2021-23337/)
  match(bad[1]?.findings.join() ?? '', /config\.yaml: a token of GitHub/)
  const patterns = ['eval(text)', 'new Function(text)', 'text.length']
  const sources = patterns.map((code, i) => [join(seeded, `pattern-${i}.ts`), code] as const)
  for (const [path, code] of sources) await writeFile(path, `export const run = (text: string) => ${code}\n`)
  const linted = spawnSync(
    process.execPath,
    [
      fileURLToPath(new URL('node_modules/oxlint/bin/oxlint', root)),
      '-c',
      fileURLToPath(new URL('.oxlintrc.json', root)),
      '-f',
      'unix',
      ...sources.map(([path]) => path),
    ],
    { cwd: seeded, encoding: 'utf8' },
  )
  equal(linted.status, 1, linted.stdout)
  deepEqual(
    [...linted.stdout.matchAll(/(pattern-\d)\.ts.*\(([\w-]+)\)/g)]
      .map(([, file, rule]) => `${file} ${rule}`)
      .toSorted(),
    ['pattern-0 no-eval', 'pattern-1 no-new-func'],
  )
})

test('a part that runs long is passed or failed only where it says so itself', () => {
  const verdict = (status: number | null, stdout: string) => partResult('fuzz', { status, stdout }).verdict
  const told = (...findings: readonly string[]) => JSON.stringify({ summary: 'x', findings })
  equal(verdict(0, `progress\n${told()}\n`), 'passed')
  equal(verdict(1, told('a finding')), 'failed')
  for (const [status, stdout] of [
    [0, ''],
    [0, told('a finding')],
    [1, told()],
    [2, told()],
    [null, told()],
    [0, 'null'],
    [0, '{}'],
    [1, 'Error: out of memory'],
  ] as const)
    equal(verdict(status, stdout), 'failed', `${status} ${stdout}`)
  equal(verdict(3, told('a source that nobody has measured')), 'not_run')
  for (const { program } of longParts) equal(existsSync(new URL(program, root)), true, program)
})

test('words that nobody knows are refused', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/security/run.ts', 'fuz'], {
    cwd: root,
    encoding: 'utf8',
  })
  equal(status, 2)
  match(stderr, /checks\|fuzz/)
})

test('what is committed passes every check but that of the registry, which may not have answered', () => {
  const { status, stdout } = spawnSync(
    process.execPath,
    ['scripts/security/run.ts', 'checks', '--json', '--without-lint'],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
  interface Result {
    readonly name: string
    readonly verdict: string
    readonly findings: readonly string[]
  }
  const { ok, results } = JSON.parse(stdout) as { readonly ok: boolean; readonly results: readonly Result[] }
  const failed = (name: string) => results.find((one) => one.name === name)?.verdict === 'failed'
  // That somebody has to look again is for who runs it, and no fault of a checkout that has become old.
  const isOld = Date.now() - Date.parse(list.asOf) > 90 * 86_400_000
  const advisories = isOld ? 'failed' : 'passed'
  const aged = (text: string) => isOld && text.includes('days old')
  const asked = results.filter(({ name }) => name !== 'audit')
  deepEqual(
    asked.flatMap((one) => one.findings).filter((text) => !aged(text)),
    [],
  )
  deepEqual(
    results.map(({ name, verdict }) => (name === 'audit' ? name : `${name} ${verdict}`)),
    ['audit', `advisories ${advisories}`, 'origins passed', 'licences passed', `secrets ${committed}`, 'sbom passed'],
  )
  const isFine = !isOld && !failed('audit') && committed === 'passed'
  deepEqual([ok, status], [isFine, isFine ? 0 : 1])
  equal(lockedPackages(read('package-lock.json')).length > 100, true)
})
