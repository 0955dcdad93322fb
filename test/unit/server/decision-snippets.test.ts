/** docs/decisions.md: no configuration there lets a header of the caller through that the service must not see. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { withheld } from '../../../packages/server/src/transports/decisions/http-decisions.ts'
import { repository } from '../../fixtures/deployment.ts'
import { fences } from '../../fixtures/guide.ts'

const snippets = new Map<string, string>()
before(async () => {
  const document = await readFile(join(repository, 'docs', 'decisions.md'), 'utf8')
  for (const section of document.split(/^## /m)) {
    const [name = '', ...rest] = section.split('\n')
    const [shown] = fences(rest.join('\n'))
    if (shown !== undefined) snippets.set(name, shown.text)
  }
})

/** Names, or patterns with a `*` at their ends, in the first group of each match. */
function namesIn(snippet: string | undefined, pattern: RegExp): readonly string[] {
  const names = [...(snippet ?? '').matchAll(pattern)].map(([, name = '']) => name.toLowerCase())
  ok(names.length > 0, 'nothing is taken away')
  return names
}

function missingFrom(names: readonly string[]): readonly string[] {
  return withheld.filter(
    (name) => !names.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : one === name)),
  )
}

test('nginx replaces or takes away each header that is withheld', () => {
  const [, forwarding] = (snippets.get('nginx') ?? '').split('location /orders/')
  deepEqual(missingFrom(namesIn(forwarding, /^ *proxy_set_header (\S+) /gm)), [])
})

test('Caddy takes away each header that is withheld', () => {
  const names = namesIn(snippets.get('Caddy'), /^\t*(?:request_header|header_up) -(\S+)$/gm)
  deepEqual(missingFrom(names), [])
  ok(names.includes('*_*'))
})

test('HAProxy takes away each header that is withheld', () => {
  const snippet = snippets.get('HAProxy')
  const single = namesIn(snippet, /^ *http-request del-header ([\w-]+)$/gm)
  const patterns = namesIn(snippet, /^ *http-request del-header (\S+) -m reg$/gm).map((text) => new RegExp(text))
  deepEqual(
    withheld.filter((name) => !single.includes(name) && !patterns.some((pattern) => pattern.test(name))),
    [],
  )
})

test('Traefik replaces or takes away each header that is withheld', () => {
  deepEqual(missingFrom(namesIn(snippets.get('Traefik'), /^ {10}([A-Z][\w-]+): /gm)), [])
})

test('Envoy is told what to take away, and goes by what it has seen itself', () => {
  const snippet = snippets.get('Envoy') ?? ''
  ok(snippet.includes('use_remote_address: true\n'))
  ok(snippet.includes('headers_with_underscores_action: REJECT_REQUEST'))
  equal(snippet.includes('upgrade_configs'), false)
})
