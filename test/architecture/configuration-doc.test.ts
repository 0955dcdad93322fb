import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'

const documents = [
  'docs/configuration.md',
  'docs/exports.md',
  'docs/definitions.md',
  'docs/agents.md',
  'docs/edge.md',
  'docs/decisions.md',
  'docs/workload-api.md',
]
const root = new URL('../../', import.meta.url)

describe('every configuration that a document shows is accepted', async () => {
  for (const document of documents) {
    const text = await readFile(new URL(document, root), 'utf8')
    const examples = [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '')
    for (const [i, example] of examples.entries()) {
      test(`${document}, example ${i + 1}`, () => {
        assert.equal(parseConfiguration(example, document).trust_domain, 'acme.example')
      })
    }
  }

  test('doorward.yaml of the repository', async () => {
    const text = await readFile(new URL('doorward.yaml', root), 'utf8')
    assert.deepEqual(Object.keys(parseConfiguration(text, 'doorward.yaml').servers), ['files'])
  })
})
