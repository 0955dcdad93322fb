/** `doorward doctor` beside a deployment that runs, one that does not, and tokens that are refused for one reason each. */

import { equal, match, ok } from 'node:assert/strict'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'

let system: TestDeployment

interface Examined {
  readonly ok: boolean
  readonly findings: readonly {
    readonly check: string
    readonly verdict: string
    readonly where?: string
    readonly message: string
    readonly got?: string
    readonly next?: string
  }[]
}

async function doctor(...words: readonly string[]): Promise<readonly [number | null, Examined]> {
  const { code, stdout, stderr } = await system.run(['doctor', ...words, '--json'])
  ok(stdout.startsWith('{'), stderr)
  return [code, JSON.parse(stdout) as Examined]
}

const notFine = ({ findings }: Examined) => findings.filter(({ verdict }) => verdict !== 'fine')

before(async () => {
  system = await TestDeployment.start({ yaml: wideLimits })
})
after(() => system.remove())

test('a deployment that runs has no failure, and every look was made', async () => {
  const [code, examined] = await doctor()
  equal(code, 0, JSON.stringify(notFine(examined)))
  const checks = new Set(examined.findings.map(({ check }) => check))
  for (const check of ['runtime', 'policy', 'files', 'room', 'certificate', 'record', 'listener', 'keys', 'issuer'])
    ok(checks.has(check), check)
  equal(examined.findings.filter(({ check }) => check === 'listener').length, 7)
  ok(notFine(examined).every(({ next }) => next !== undefined))
})

test('a token: good, changed, of another issuer, revoked; and no text of it is told', async () => {
  const file = join(system.folder, 'shown.token')
  const { publicUrl } = (await system.deployment()).gateway
  equal((await system.run(['token', 'mint', publicUrl, '--out', file])).code, 0)
  const [code, good] = await doctor('--token', file)
  equal(code, 0, JSON.stringify(good))
  const token = (await readFile(file, 'utf8')).trim()
  const shownAs = async (text: string) => {
    const other = join(system.folder, 'other.token')
    await writeFile(other, text, { mode: 0o600 })
    const [exit, examined] = await doctor('--token', other)
    equal(exit, 1)
    ok(!JSON.stringify(examined).includes(text.split('.')[2] ?? text))
    return examined.findings[0]
  }
  const [header = '', payload = '', signature = ''] = token.split('.')
  equal(
    (await shownAs(`${header}.${payload}.${signature.replace(/^./, (one) => (one === 'A' ? 'B' : 'A'))}`))?.where,
    'token_signature',
  )
  const foreign = JSON.stringify({
    ...(JSON.parse(Buffer.from(payload, 'base64url').toString()) as object),
    iss: 'https://login.example',
  })
  const issuer = await shownAs(`${header}.${Buffer.from(foreign).toString('base64url')}.${signature}`)
  equal(issuer?.check, 'token_issuer')
  match(String(issuer.got), /login\.example/)
  equal((await shownAs('neither.token'))?.where, 'token_malformed')
  const { jti } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { readonly jti: string }
  equal((await system.run(['revoke', 'token', jti, '--reason', 'lost'])).code, 0)
  const [exit, denied] = await doctor('--token', file)
  equal(exit, 1)
  equal(notFine(denied)[0]?.check, 'token_denied')
})

test('a file that others can write, and a deployment that is gone, are failures that say what to do', async () => {
  const { stateDir } = await system.deployment()
  const file = join(stateDir, 'state.json')
  const { mode } = await stat(file)
  await chmod(file, 0o666)
  const [code, open] = await doctor('--offline')
  equal(code, 1)
  match(
    notFine(open)
      .map(({ next }) => next)
      .join(),
    /chmod 0600 .*state\.json/,
  )
  await chmod(file, mode)
  equal((await doctor('--offline'))[0], 0)
  await system.interrupt()
  const [exit, gone] = await doctor()
  equal(exit, 1)
  equal(notFine(gone).filter(({ check, got }) => check === 'listener' && got === 'ECONNREFUSED').length, 7)
})

test('a configuration that is refused is found with every mistake', async () => {
  await writeFile(system.configFile, 'trust_domain: acme.example\nsecurity: { rbac: { enabled: false } }\nunknown: 1\n')
  const [code, examined] = await doctor()
  equal(code, 1)
  equal(examined.findings.length, 2)
})
