import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { judgeRuntime, mayRun, supportedLines } from '../../../packages/server/bin/runtime-support.cjs'

const root = fileURLToPath(new URL('../../../', import.meta.url))

for (const [version, verdict] of [
  ['v24.22.1', 'ok'],
  ['v26.12.1', 'ok'],
  ['24.30.0', 'ok'],
  ['v24.21.0', 'below_security_release'],
  ['v24.22.0', 'below_security_release'],
  ['v26.12.0', 'below_security_release'],
  ['v24.20.9', 'too_old'],
  ['v26.9.3', 'too_old'],
  ['v25.9.0', 'end_of_life'],
  ['v22.22.0', 'end_of_life'],
  ['v20.20.2', 'end_of_life'],
  ['v0.12.18', 'end_of_life'],
  ['v27.0.0', 'untried'],
  ['v24.22.1-nightly', 'unreadable'],
  ['', 'unreadable'],
  ['constructor', 'unreadable'],
] as const) {
  test(`Node.js ${version || '(empty)'} is ${verdict}`, () => {
    assert.equal(judgeRuntime(version).verdict, verdict)
    assert.equal(mayRun(verdict), verdict === 'ok' || verdict === 'below_security_release')
  })
}

test('every supported line has a floor no higher than its security release', () => {
  for (const { floor, fixed } of supportedLines) {
    assert.equal(judgeRuntime(floor).verdict, 'below_security_release')
    assert.equal(judgeRuntime(fixed).verdict, 'ok')
  }
})

let checkout = ''
before(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'doorward-shim-'))
  await cp(join(root, 'packages/server/bin'), join(checkout, 'bin'), { recursive: true })
  await mkdir(join(checkout, 'src/cli'), { recursive: true })
  await writeFile(join(checkout, 'src/cli/main.ts'), entry)
})
after(() => rm(checkout, { recursive: true, force: true }))

const entry = `const args: string[] = process.argv.slice(2)
if (args[0] === 'exit') process.exitCode = Number(args[1])
else console.log(JSON.stringify({ args, execArgv: process.execArgv, version: process.version }))
`

test('the sources run with the source condition, arguments and exit code pass through', async () => {
  const shown = await start(process.execPath, ['a b', '--json'])
  assert.deepEqual([shown.code, shown.stderr], [0, ''])
  const seen = JSON.parse(shown.stdout) as { args: string[]; execArgv: string[]; version: string }
  assert.deepEqual(seen.args, ['a b', '--json'])
  assert.ok(seen.execArgv.includes('--conditions=source'))
  assert.equal((await start(process.execPath, ['exit', '5'])).code, 5)
})

test('where something starts to serve, a runtime below the security release is named once on stderr', async (t) => {
  const judged = judgeRuntime(process.version)
  if (judged.verdict === 'ok') return t.diagnostic('this runtime carries the security release')
  assert.equal((await start(process.execPath, ['up'])).stderr.split('warning').length, 2)
  assert.equal((await start(process.execPath, ['gateway', 'run'])).stderr.split('warning').length, 2)
  assert.equal((await start(process.execPath, ['up', '--json'])).stderr, '')
  assert.equal((await start(process.execPath, ['tools', 'files'])).stderr, '')
})

test('an unsupported runtime uses the one that the repository brings, and exits 2 where there is none', async () => {
  const old = join(checkout, 'pretend-old.cjs')
  await writeFile(old, "Object.defineProperty(process, 'version', { value: 'v20.20.2' })")
  const none = await start(process.execPath, ['--version'], ['--require', old])
  assert.equal(none.code, 2)
  assert.match(none.stderr, /v20\.20\.2/)
  await symlink(join(root, 'node_modules'), join(checkout, 'node_modules'))
  // The runtime under test may be the repository's own, which the shim never starts from itself: give it a copy.
  const copy = join(checkout, 'node')
  await cp(process.execPath, copy)
  const found = await start(copy, ['exit', '4'], ['--require', old])
  assert.equal(found.code, 4)
})

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function start(runtime: string, args: readonly string[], options: readonly string[] = []): Promise<Ended> {
  return new Promise((resolve) => {
    const all = [...options, join(checkout, 'bin/doorward.cjs'), ...args]
    execFile(runtime, all, { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}
