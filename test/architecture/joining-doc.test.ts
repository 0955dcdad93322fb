/** docs/joining.md: its ways to join are ways to join. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parseTrustDomain, readWorkloadDocument } from '@doorward/core'
import { attestationOption } from '../../packages/server/src/cli/workload/attestation-option.ts'

const text = await readFile(new URL('../../docs/joining.md', import.meta.url), 'utf8')
const lines = [...text.matchAll(/^```\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) => block.trimEnd().split('\n'))

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
