/** The guide to the record, on a running system that an official client has called: its own configuration, its own commands. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDoorwardError, openLogProof, parseVerifierKey } from '@doorward/core'
import { importEd25519, sha256 } from '@doorward/sdk'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import type { RunResult } from '../fixtures/deployment.ts'
import { fences, readGuide } from '../fixtures/guide.ts'
import type { GuideCommand } from '../fixtures/guide.ts'
import { openV2 } from '../fixtures/official-peers.ts'

interface Line {
  readonly origin: string
  readonly index: number
  readonly kind: string
  readonly time: number
  readonly body: Readonly<Record<string, unknown>>
  readonly outcome: Omit<Line, 'outcome'> | null
}

describe('docs/record.md', () => {
  let system: TestDeployment
  /** Has proofs and a key, and nothing else of ours. */
  let auditor: string
  let markdown: string
  let handedOver: Promise<void> | null = null

  before(async () => {
    markdown = await readFile(join(repository, 'docs', 'record.md'), 'utf8')
    auditor = await mkdtemp(join(tmpdir(), 'doorward-auditor-'))
    const [file] = readGuide(markdown).files
    const yaml = `${file?.text ?? ''}${wideLimits}`
    system = await TestDeployment.prepare({ yaml, trustDomain: 'acme.example' })
    await mkdir(join(system.folder, 'documents'))
    await writeFile(join(system.folder, 'documents', 'notes.md'), 'the door is shut\n')
    await system.up()
    ;(await system.identity('agent/planner')).close()
  })
  after(async () => {
    await system.remove()
    await rm(auditor, { recursive: true, force: true })
  })

  const query = async (...words: readonly string[]): Promise<readonly Line[]> => {
    const { code, stdout, stderr } = await system.run(['audit', 'query', ...words, '--json'])
    equal(code, 0, stderr)
    return stdout.trim() === ''
      ? []
      : stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Line)
  }

  test('each call of an official client is found, with its outcome', async () => {
    const peer = await openV2(system.launch(['connect', 'files', '--as', 'agent/planner']))
    const path = join(system.folder, 'documents', 'notes.md')
    for (let n = 0; n < 5; n++) await peer.call('read_text_file', { path })
    await peer.call('list_directory', { path: join(system.folder, 'documents') })
    await peer.call('write_file', { path, content: 'open' }).catch(() => undefined)
    await peer.close()
    const words = ['--principal', 'spiffe://acme.example/agent/*', '--server', 'files']
    // What no checkpoint covers yet is not told, and the denial was the last.
    for (let looks = 0; looks < 200 && (await query(...words, '--decision', 'deny')).length === 0; looks++)
      await sleep(50)
    const reads = await query(...words, '--tool', 'read_text_file')
    equal(reads.length, 5)
    for (const { body, outcome } of reads) {
      deepEqual([body['decision'], body['caller']], ['allow', 'spiffe://acme.example/agent/planner'])
      equal(outcome?.body['status'], 'completed')
    }
    equal((await query(...words, '--tool', 'list_directory', '--decision', 'allow')).length, 1)
    const [denied, ...more] = await query(...words, '--decision', 'deny', '--since', '1h')
    deepEqual([denied?.body['code'], denied?.outcome, more.length], ['policy_denied', null, 0])
    const whole = await query('--limit', '1000')
    const order = whole.map(({ time }) => time)
    deepEqual(
      order,
      order.toSorted((a, b) => b - a),
    )
    deepEqual(
      new Set(whole.map(({ origin }) => origin)),
      new Set(['acme.example/gateway/main', 'acme.example/authority']),
    )
    deepEqual(await query('--principal', 'spiffe://acme.example/agent/nobody'), [])
  })

  test('its commands do what it says', async () => {
    const parts = fences(markdown).filter(({ kind }) => kind === '')
    let done = 0
    for (const { text } of parts) {
      const { commands } = readGuide(`\`\`\`\n${text}\`\`\`\n`)
      // What is copied or redacted concerns the next; all else stands beside each other.
      const groups = /\$ cp |audit redact/.test(text) ? commands.map((command) => [command]) : [commands]
      for (const group of groups) await Promise.all(group.map(doesWhatItSays))
      done += commands.length
    }
    equal(done, readGuide(markdown).commands.length)
    equal((await stat(join(system.folder, 'entry.tlog-proof'))).mode & 0o777, 0o600)
  })

  async function doesWhatItSays({ machine, words, exit, line }: GuideCommand): Promise<void> {
    const { code, stdout, stderr } = await carryOut(machine, words)
    equal(code, exit, `${line}\n${stdout}${stderr}`)
  }

  async function carryOut(machine: string, [program = '', ...words]: readonly string[]): Promise<RunResult> {
    if (machine === 'auditor') return elsewhere(words)
    if (program === 'doorward') return system.run(words)
    equal(program, 'cp')
    const [from = '', to = ''] = words
    await copyFile(join(system.folder, from), join(system.folder, to))
    return { code: 0, stdout: '', stderr: '' }
  }

  /** What the guide's reader hands over to somebody else, and one proof that was changed on the way. */
  async function handOver(): Promise<void> {
    for (const file of ['gateway.vkey', 'entry.tlog-proof', 'receipt.tlog-proof', 'call.tlog-proof'])
      await copyFile(join(system.folder, file), join(auditor, file))
    const altered = await readFile(join(auditor, 'entry.tlog-proof'))
    altered[100]! ^= 1
    await writeFile(join(auditor, 'altered.tlog-proof'), altered)
  }

  /** In a folder with nothing else, under a home where nothing of ours is. */
  async function elsewhere(words: readonly string[]): Promise<RunResult> {
    await (handedOver ??= handOver())
    const { command, args } = system.launch([])
    const child = spawn(command, [args[0] ?? '', ...words], {
      cwd: auditor,
      env: { HOME: auditor, PATH: '' },
      stdio: 'pipe',
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (part: Buffer) => (stdout += part.toString()))
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
    return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })))
  }

  test('what was proven is what the record says', async () => {
    const shown = JSON.parse(
      (await elsewhere(['audit', 'verify', '--proof', 'entry.tlog-proof', '--key', 'gateway.vkey', '--json'])).stdout,
    ) as Line & { readonly entry: string; readonly digest: string; readonly shows: string }
    const [found] = await query('--id', 'acme.example/gateway/main#17')
    deepEqual(
      [shown.entry, shown.kind, shown.time, shown.body],
      ['acme.example/gateway/main#17', found?.kind, found?.time, found?.body],
    )
    const receipt = JSON.parse(
      (await elsewhere(['audit', 'verify', '--proof', 'receipt.tlog-proof', '--key', 'gateway.vkey', '--json'])).stdout,
    ) as typeof shown
    deepEqual(
      [receipt.shows, receipt.time, receipt.digest, receipt.body],
      ['receipt', shown.time, shown.digest, undefined],
    )
    const call = await elsewhere(['audit', 'verify', '--proof', 'call.tlog-proof', '--key', 'gateway.vkey'])
    equal(call.code, 0, call.stderr)
    match(call.stdout, /a receipt: what the entry says is not shown/)
  })

  test('a proof in which any one bit is another is refused', async () => {
    const { name, keyId, publicKey } = parseVerifierKey(
      sha256,
      (await readFile(join(auditor, 'gateway.vkey'), 'utf8')).trim(),
    )
    const verifier = { name, keyId, key: importEd25519(publicKey)! }
    for (const file of ['entry.tlog-proof', 'receipt.tlog-proof']) {
      const bytes = await readFile(join(auditor, file))
      openLogProof(sha256, bytes.toString(), verifier)
      // The unit tests flip every one of a proof; here every third is enough.
      for (let bit = 0; bit < bytes.length * 8; bit += 3) {
        bytes[bit >> 3]! ^= 1 << (bit & 7)
        let refused = false
        try {
          openLogProof(sha256, new TextDecoder('utf-8', { fatal: true }).decode(bytes), verifier)
        } catch (error) {
          refused = isDoorwardError(error) || error instanceof TypeError
        }
        ok(refused, `${file}, bit ${bit}`)
        bytes[bit >> 3]! ^= 1 << (bit & 7)
      }
    }
  })

  test('misuse is told as such, and what does not hold as another thing', async () => {
    const accepting = (file: string) => `audit fsck --log gateway --accept ${file} --reason because --yes`.split(' ')
    const kept = await readFile(join(system.folder, 'kept.checkpoint'), 'utf8')
    await writeFile(join(system.folder, 'altered.checkpoint'), kept.replace(/\n\d+\n/, '\n1\n'))
    const exits: readonly (readonly [number, string, readonly string[]])[] = [
      [2, 'usage', ['audit', 'prove', 'acme.example/gateway/main']],
      [2, 'entry_unsigned', ['audit', 'prove', 'acme.example/gateway/main#99999999']],
      [2, 'file_not_written', ['audit', 'prove', 'acme.example/gateway/main#1', '--out', 'entry.tlog-proof']],
      [2, 'usage', ['audit', 'verify', '--proof', 'entry.tlog-proof']],
      [2, 'usage', ['audit', 'verify', '--proof', 'entry.tlog-proof', '--consistency', 'kept.checkpoint']],
      [2, 'file_unreadable', ['audit', 'verify', '--proof', 'nosuch', '--key', 'gateway.vkey']],
      [2, 'vkey_malformed', ['audit', 'verify', '--proof', 'entry.tlog-proof', '--key', 'entry.tlog-proof']],
      [1, 'note_malformed', ['audit', 'verify', '--consistency', 'gateway.vkey']],
      [1, 'note_unverified', ['audit', 'verify', '--consistency', 'altered.checkpoint']],
      [2, 'usage', ['audit', 'query', '--since', 'yesterday']],
      [2, 'usage', ['audit', 'fsck', '--log', 'gateway', '--accept', '0000000000000000.journal', '--yes']],
      [1, 'record_locked', accepting('0000000000000000.journal')],
      [2, 'log_unknown', accepting('tile/0/000')],
      [2, 'spiffe_pattern_invalid', ['audit', 'query', '--principal', 'spiffe://acme.example/agent*']],
    ]
    await Promise.all(
      exits.map(async ([exit, expected, words]) => {
        const { code, stdout } = await system.run([...words, '--json'])
        const { error } = JSON.parse(stdout) as { readonly error: { readonly code: string } }
        deepEqual([code, error.code], [exit, expected], words.join(' '))
      }),
    )
  })
})
