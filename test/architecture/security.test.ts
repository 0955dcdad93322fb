/** `npm run security`: each check finds what is planted for it, and what is committed has nothing of the kind. */

import { deepEqual, equal, match, throws } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { checkAdvisories, inRange } from '../../scripts/security/advisories.ts'
import type { AdvisoryList } from '../../scripts/security/advisories.ts'
import { auditResult } from '../../scripts/security/audit.ts'
import { lockedPackages } from '../../scripts/security/lock.ts'
import { checkLicences, checkOrigins } from '../../scripts/security/packages.ts'
import { checkSecrets } from '../../scripts/security/secrets.ts'

const root = new URL('../..', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
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
  const found = '{"vulnerabilities":{"x":{"severity":"high","range":"<1"}}}'
  equal(auditResult(found, null).verdict, 'failed')
  equal(auditResult(found, null, new Set(['x'])).verdict, 'passed')
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
  for (const text of rows)
    equal(checkSecrets([{ path: 'a', text: `x = '${text}'` }], {}).verdict, 'failed', text.slice(0, 8))
  equal(checkSecrets([{ path: 'a', text: rows.join('\n') }], { a: 'made for a test' }).verdict, 'passed')
})

test('what is committed passes, and what was not run is said', () => {
  const { stdout } = spawnSync(process.execPath, ['scripts/security/run.ts', '--json', '--without-lint'], {
    cwd: root,
    encoding: 'utf8',
  })
  interface Result {
    readonly name: string
    readonly findings: readonly string[]
  }
  const { results } = JSON.parse(stdout) as { readonly results: readonly Result[] }
  // That somebody has to look again is for who runs it, and no fault of a checkout that has become old.
  const findings = results.flatMap((one) => one.findings).filter((one) => !one.includes('days old'))
  deepEqual(findings, [])
  deepEqual(
    results.map(({ name }) => name),
    ['audit', 'advisories', 'origins', 'licences', 'secrets', 'sbom'],
  )
  equal(lockedPackages(read('package-lock.json')).length > 100, true)
})
