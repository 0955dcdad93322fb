/** docs/workloads.md: its files are read, its keys exist, its routes are served. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { ownRoutes, parseTrustDomain, readWorkloadDocument } from '@doorward/core'
import { attestationOption, attestationText } from '../../packages/server/src/cli/workload/attestation-option.ts'
import { parseWorkloads } from '../../packages/server/src/config/workload-file.ts'

const trustDomain = parseTrustDomain('acme.example')
const text = await readFile(new URL('../../docs/workloads.md', import.meta.url), 'utf8')

const allBlocks = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
const blocks = (language: string) => allBlocks.filter((one) => one[1] === language).map((one) => one[2] ?? '')

/** First cells of the table below a heading, without marks. */
function firstCells(heading: string): readonly string[] {
  const section = text.slice(text.indexOf(heading) + heading.length).split(/\n#+ /)[0] ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((row) => (row.split('|')[1] ?? '').replaceAll('`', '').trim())
}

describe('docs/workloads.md', () => {
  test('shows files that apply reads', () => {
    const files = blocks('yaml')
    assert.ok(files.length >= 2)
    for (const file of files) assert.ok(parseWorkloads(file, 'docs/workloads.md', trustDomain).length > 0)
  })

  test('names every key of a workload and no other', () => {
    const document = readWorkloadDocument({ id: 'spiffe://acme.example/a' }, { trustDomain, reserved: false })
    assert.deepEqual(firstCells('### Keys'), Object.keys(document))
  })

  test('spells ways to join as the command line does', () => {
    const [, everything] = blocks('yaml')
    const [workload] = parseWorkloads(everything ?? '', 'docs/workloads.md', trustDomain)
    const kinds = workload?.attest.map((entry) => Object.keys(entry)[0])
    assert.deepEqual(kinds?.toSorted(), firstCells('### Ways to prove who one is').toSorted())
    for (const entry of workload?.attest ?? []) assert.deepEqual(attestationOption(attestationText(entry)), entry)
    for (const word of ['oidc:github,repository=acme/x', 'x509_pop:corp,dns=host.acme.example'])
      assert.equal(attestationText(attestationOption(word)), word)
  })

  test('lists routes that the authority has', () => {
    const routes = firstCells('## The API')
    assert.ok(routes.length > 5)
    for (const route of routes) {
      const [method, target = ''] = route.split(' ')
      const path = target.split('?')[0]
      assert.ok(
        ownRoutes.some((own) => own.server === 'authority' && own.method === method && own.path === path),
        route,
      )
    }
  })
})
