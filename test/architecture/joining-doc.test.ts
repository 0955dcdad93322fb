/** docs/joining.md: its commands and options exist, and its ways to join are ways to join. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Command } from 'commander'
import { parseTrustDomain, readWorkloadDocument } from '@doorward/core'
import type { CliContext } from '../../packages/server/src/cli/context.ts'
import { register as registerJoin } from '../../packages/server/src/cli/join.ts'
import { register as registerWorkload } from '../../packages/server/src/cli/workload.ts'
import { attestationOption } from '../../packages/server/src/cli/workload/attestation-option.ts'

const text = await readFile(new URL('../../docs/joining.md', import.meta.url), 'utf8')
const lines = [...text.matchAll(/^```\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) => block.trimEnd().split('\n'))

test('docs/joining.md shows commands and options that there are', () => {
  const program = new Command('doorward')
  for (const register of [registerWorkload, registerJoin]) register(program, {} as CliContext)
  assert.ok(lines.length > 10)
  for (const line of lines) {
    const [, name, verb] = line.split(' ')
    const command = program.commands.find((one) => one.name() === name)
    const leaf = command?.commands.find((one) => one.name() === verb) ?? command
    assert.ok(leaf !== undefined, line)
    const known = leaf.options.map(({ long }) => long)
    for (const word of line.split(' ').filter((one) => one.startsWith('--')))
      assert.ok(known.includes(word), `${line}: ${word}`)
  }
})

test('docs/joining.md shows ways to join that a registration accepts', () => {
  const ways = lines.flatMap((line) => /--attest (\w+:\S+)/.exec(line)?.[1] ?? [])
  assert.ok(ways.length >= 4)
  for (const way of ways) {
    const document = { id: 'spiffe://acme.example/agent/x', attest: [{ ...attestationOption(way) }] }
    const read = readWorkloadDocument(JSON.parse(JSON.stringify(document)) as typeof document, {
      trustDomain: parseTrustDomain('acme.example'),
      reserved: false,
    })
    assert.ok(!('problems' in read), way)
  }
})
