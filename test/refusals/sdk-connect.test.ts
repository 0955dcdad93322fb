/** `connect` and `identity.fetch`: each refusal beside what passes, against a running authority. */

import assert from 'node:assert/strict'
import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from '@doorward/sdk'
import { idOf, openSdkStage } from '../fixtures/sdk-stage.ts'
import type { SdkStage } from '../fixtures/sdk-stage.ts'

let stage: SdkStage

before(async () => (stage = await openSdkStage()))
after(() => stage.close())

test('a program joins with a join string from a file or the environment, and comes back without one', async () => {
  const { join: source, ...options } = await stage.options('agent/one', { roles: ['reader'] })
  await assert.rejects(connect(options), { code: 'join_string_missing' })
  await assert.rejects(connect({ ...options, join: { file: `${source.file}.none` } }), { code: 'join_string_missing' })
  await assert.rejects(connect({ ...options, join: { env: 'JOIN' }, environment: {} }), { code: 'join_string_missing' })
  {
    await using joined = await connect({ ...options, join: source })
    assert.equal(joined.id.uri, idOf('agent/one'))
  }
  await using again = await connect(options)
  assert.equal(again.id.uri, idOf('agent/one'))
  const { joinString } = await stage.authority.running.createJoinString(idOf('agent/one'), 'test')
  await using other = await connect({
    folder: `${options.folder}-env`,
    key: `${options.key}-env`,
    join: { env: 'JOIN' },
    environment: { JOIN: joinString.reveal() },
  })
  assert.equal(other.id.uri, idOf('agent/one'))
})

test('a folder opens with its own key file alone, and no other is made in its place', async () => {
  const first = await stage.options('agent/keys')
  await (await connect(first)).close()
  const key = first.key
  const other = await stage.options('agent/other')
  await (await connect(other)).close()
  await assert.rejects(connect({ ...first, key: other.key }), { code: 'key_file_wrong' })
  await assert.rejects(connect({ ...first, key: join(first.folder, 'inside.key') }), { code: 'key_inside_state' })
  await assert.rejects(connect({ ...first, key: `${key}.none` }), { code: 'key_file_missing' })
  await chmod(key, 0o644)
  await assert.rejects(connect(first), { code: 'key_file_mode' })
  await chmod(key, 0o600)
  await (await connect(first)).close()
  await rm(join(first.folder, 'key.json'))
  await assert.rejects(connect(first), { code: 'identity_folder_invalid' })
})

test('nobody is called of whom it was not said who answers, and another one gets no byte', async () => {
  const identity = await stage.connect('agent/caller', { roles: ['reader'] })
  const authorityUrl = identity.identity.authorityUrl
  const answer = await identity.fetch(`${authorityUrl}/v1/trust-state`)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('doorward-code'), 'allowed')
  assert.equal(answer.url, `${authorityUrl}/v1/trust-state`)
  assert.match(await answer.text(), /"payload"/)
  const elsewhere = `https://127.0.0.1:${stage.ports[0]}/`
  await assert.rejects(identity.fetch(elsewhere), { code: 'peer_unknown' })
  await assert.rejects(identity.fetch(`${authorityUrl}/v1/trust-state`, { expect: idOf('agent/other') }), {
    code: 'server_identity',
  })
  await assert.rejects(identity.fetch(authorityUrl.replace('https', 'http')), { code: /peer_unknown|url_invalid/ })
  const headers = { authorization: 'Bearer mine' }
  await assert.rejects(identity.fetch(authorityUrl, { headers }), { code: 'header_reserved' })
})

test('a call ends with its signal, before and while the answer comes', async () => {
  const identity = await stage.connect('agent/hasty', { roles: ['reader'] })
  const url = `${identity.identity.authorityUrl}/v1/trust-state?follow=true`
  await assert.rejects(identity.fetch(url, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  const ending = new AbortController()
  const answer = await identity.fetch(url, { signal: ending.signal })
  const reader = answer.body?.getReader()
  assert.equal((await reader?.read())?.done, false)
  ending.abort()
  await assert.rejects(async () => {
    for (let parts = 0; parts < 1000; parts++) if ((await reader?.read())?.done === true) return
  })
})

test('who has no audience does not decide about callers, and who joined as a caller stays one', async () => {
  const none = await stage.options('service/none')
  await assert.rejects(connect({ ...none, callee: true }), { code: 'identity_scope' })
  const audiences = [`https://127.0.0.1:${stage.ports[1]}`]
  const callee = await stage.connect('service/called', { audiences }, { callee: true })
  assert.ok(callee.identity.trust.current()?.roles.has(idOf('service/called')) !== false)
  const caller = await stage.options('service/late')
  await (await connect(caller)).close()
  await stage.authority.running.registerWorkload(
    { id: idOf('service/late'), roles: [], audiences: ['https://late.example'] },
    'test',
  )
  await assert.rejects(connect({ ...caller, callee: true }), { code: 'identity_scope' })
  await (await connect(caller)).close()
})

test('a join string is not taken from a file that is too large', async () => {
  const { join: source, ...options } = await stage.options('agent/large')
  await writeFile(`${source.file}.large`, 'x'.repeat(20_000))
  await assert.rejects(connect({ ...options, join: { file: `${source.file}.large` } }), { code: 'file_too_large' })
})
