/** What the options of `workload add` and `set` mean. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { attestationOption, attestationText } from '../../../packages/server/src/cli/workload/attestation-option.ts'
import { givenContent, secondsOf } from '../../../packages/server/src/cli/workload/content-options.ts'
import { anyWorkload } from '../core/workload-arbitraries.ts'

test('a way to join is shown as the option that means it', () => {
  fc.assert(
    fc.property(anyWorkload(), ({ attest }) => {
      for (const entry of attest) assert.deepEqual(attestationOption(attestationText(entry)), entry)
    }),
  )
})

test('text that is no way to join is misuse', () => {
  const texts = [
    '',
    'password',
    'join_token:x',
    'bound_key',
    'bound_key:',
    'bound_key:a,b',
    'oidc',
    'oidc:',
    'oidc:ci,sub',
  ]
  for (const text of [...texts, 'x509_pop:', 'x509_pop:corp,dns', '{', '{oidc', 'toString:x'])
    assert.throws(() => attestationOption(text), { code: 'usage' }, text)
})

test('a lifetime is a number with its unit', () => {
  assert.deepEqual(['300', '300s', '90m', '1h', '1d'].map(secondsOf), [300, 300, 5400, 3600, 86_400])
  for (const text of ['', '0', '-1', '1.5h', '1w', 'h', '1h30m', '99999999'])
    assert.throws(() => secondsOf(text), { code: 'usage' }, text)
})

test('only what is given is changed; a list that is taken away is empty', () => {
  assert.deepEqual(givenContent({}), {})
  assert.deepEqual(givenContent({ role: ['a', 'b', 'a'], canary: false }), { roles: ['a', 'b'], canary: false })
  assert.deepEqual(givenContent({ role: false, dns: false, ip: false, attest: false, audience: false }), {
    roles: [],
    dns_names: [],
    ip_addresses: [],
    attest: [],
    audiences: [],
  })
})
