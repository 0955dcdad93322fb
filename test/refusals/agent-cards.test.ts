/** Cards of agents: nothing goes through while the card is not what was approved, or cannot be had, or is signed by nobody we know. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mock, test } from 'node:test'
import { AgentCard, generateAgentCardSignature } from '@a2a-js/sdk'
import { utf8 } from '@doorward/core'
import { KnownDefinitions } from '@doorward/enforcement'
import type { CardKeyOf } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { keyName, readIssuerKeySet } from '../../packages/server/src/issuers/issuer-key-set.ts'
import { AgentStage, card, saying } from '../fixtures/agent-stage.ts'
import type { FixtureBackend } from '../fixtures/fixture-servers.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const path = '/.well-known/agent-card.json'

interface CardStage extends AsyncDisposable {
  readonly stage: AgentStage
  readonly caller: TestSvid
  /** Lets the time pass after which a card is looked at again. */
  later(): void
  /** The code of a call, or `allowed`; nothing else reaches the agent but its card. */
  code(): Promise<string | undefined>
}

async function open(agent: NonNullable<FixtureBackend['agent']>): Promise<CardStage> {
  let passed = 0
  const monotonic = () => performance.now() + passed
  const stage = await AgentStage.open(
    { all: ['read:planner/*', 'write:planner/*'] },
    { agent: { ...agent, monotonic } },
  )
  const caller = await stage.caller('caller', 'all')
  return {
    stage,
    caller,
    later: () => void (passed += 61_000),
    code: async () => {
      const before = stage.messages.length
      const answer = await stage.call(caller, 'SendMessage', saying('word'))
      const code = answer.headers['doorward-code']
      equal(stage.messages.length - before, code === 'allowed' ? 1 : 0)
      if (code !== 'allowed') equal((await stage.gateway.entries()).at(-1)?.body['code'], code)
      return code
    },
    [Symbol.asyncDispose]: () => stage.close(),
  }
}

/** The official signer leaves security schemes out of what it signs, and what is not signed does not count. */
const { securitySchemes: _schemes, securityRequirements: _requirements, ...plain } = card

const approvals = (mode: 'required' | 'on-first-use') => new KnownDefinitions({ mode, approved: [], sha256 })

test('a card that has changed is refused, and every call with it, until an operator approves it', async () => {
  const known = approvals('on-first-use')
  await using held = await open({ known })
  const { stage, caller } = held
  equal(await held.code(), 'allowed')
  stage.agent.card = { ...card, description: 'Sends what it hears to somebody.' }
  equal(await held.code(), 'allowed', 'nobody looks twice within a minute')
  held.later()
  equal(await held.code(), 'definition_unapproved')
  const shown = await stage.ask(caller, { method: 'GET', path })
  deepEqual([shown.status, shown.headers['doorward-code']], [403, 'definition_unapproved'])
  ok(!shown.text.includes('somebody'))
  // What once differed stays refused whatever the agent shows meanwhile.
  stage.agent.card = card
  held.later()
  equal(await held.code(), 'definition_unapproved')
  known.approve([{ kind: 'server', name: 'agent-card', value: card }])
  held.later()
  equal(await held.code(), 'allowed')
})

test('where approval is required nothing passes before it', async () => {
  const known = approvals('required')
  await using held = await open({ known })
  equal(await held.code(), 'definition_unapproved')
  known.approve([{ kind: 'server', name: 'agent-card', value: card }])
  held.later()
  equal(await held.code(), 'allowed')
})

test('a card that is signed by a configured key passes; by another key, or altered since, it does not', async () => {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...own.publicKey.export({ format: 'jwk' }), kid: 'card-1', alg: 'ES256' }
  const keys = readIssuerKeySet(utf8(JSON.stringify({ keys: [jwk] })), ['ES256'])
  const keyOf: CardKeyOf = (_algorithm, kid) => keys.get(keyName('ES256', kid)) ?? null
  const signed = async (key: typeof own.privateKey, jku?: string) => {
    const header = { alg: 'ES256', kid: 'card-1', typ: 'JOSE', ...(jku === undefined ? {} : { jku }) }
    return AgentCard.toJSON(await generateAgentCardSignature(key, header)(AgentCard.fromJSON(plain))) as object
  }
  await using held = await open({ keyOf })
  const { stage } = held
  const sound = await signed(own.privateKey)
  stage.agent.card = sound
  equal(await held.code(), 'allowed')
  for (const bad of [
    plain,
    await signed(other.privateKey),
    await signed(other.privateKey, 'https://evil.example/keys'),
    { ...sound, description: 'another' },
    { ...sound, note: 'beside what was signed' },
    { ...sound, signatures: [] },
  ]) {
    stage.agent.card = bad
    held.later()
    equal(await held.code(), 'definition_unapproved', JSON.stringify(bad))
  }
  stage.agent.card = sound
  held.later()
  equal(await held.code(), 'allowed')
})

test('a card that is none, or demands what does not pass, lets nothing through', async () => {
  await using held = await open({})
  const { stage, caller } = held
  for (const bad of [
    [],
    { ...card, name: '' },
    { ...card, supportedInterfaces: [{ url: 'https://x.example/', protocolBinding: 'GRPC', protocolVersion: '1.0' }] },
    {
      ...card,
      supportedInterfaces: [{ url: 'https://x.example/', protocolBinding: 'JSONRPC', protocolVersion: '2.0' }],
    },
    { ...card, capabilities: { extensions: [{ uri: 'https://example.com/ext', required: true }] } },
  ]) {
    stage.agent.card = bad
    held.later()
    equal(await held.code(), 'upstream_invalid', JSON.stringify(bad))
  }
  stage.agent.card = { ...card, supportedInterfaces: card.supportedInterfaces.slice(0, 1) }
  held.later()
  equal(await held.code(), 'allowed')
  const older = await stage.call(caller, 'tasks/get', { id: 'x' })
  equal(older.headers['doorward-code'], 'handle_unknown')
  const spoken = await stage.call(caller, 'message/send', { message: { messageId: 'm', role: 'user', parts: [] } })
  deepEqual([spoken.headers['doorward-code'], spoken.error?.code], ['protocol_version', -32009])
})

test('a card that is looked at anew while it is answered is the one that was judged, and the question goes nowhere', async () => {
  const known = approvals('on-first-use')
  await using held = await open({ known })
  const { stage, caller } = held
  equal(await held.code(), 'allowed')
  const { log } = stage.gateway.pipeline.dependencies
  const append = log.append.bind(log)
  let between = 0
  mock.method(log, 'append', async (...entry: Parameters<typeof append>) => {
    const body = entry[0].body as Readonly<Record<string, unknown>>
    if (body['action'] === 'server/discover' && body['decision'] === 'allow') {
      between++
      stage.agent.card = { ...card, description: 'Sends what it hears to somebody.' }
      held.later()
      equal((await stage.call(caller, 'SendMessage', saying('word'))).headers['doorward-code'], 'definition_unapproved')
    }
    return append(...entry)
  })
  const before = stage.messages.length
  const shown = await stage.ask(caller, { method: 'GET', path })
  deepEqual([shown.status, between, stage.messages.length], [200, 1, before], shown.text)
  const { description } = JSON.parse(shown.body) as Readonly<Record<string, unknown>>
  equal(description, card.description)
  equal((await stage.ask(caller, { method: 'GET', path })).headers['doorward-code'], 'definition_unapproved')
})

test('while the card of an agent cannot be had, nothing goes there', async () => {
  await using held = await open({})
  const { stage } = held
  equal(await held.code(), 'allowed')
  held.later()
  stage.agent.close()
  equal(await held.code(), 'upstream_unavailable')
})

test('the card is shown with our URL and our ways to get in, and nothing that does not pass', async () => {
  await using held = await open({})
  const { stage, caller } = held
  stage.agent.card = {
    ...card,
    iconUrl: 'https://acme.example/icon.png',
    unknownMember: { url: 'http://inside.acme.example:9000/' },
    skills: [{ ...card.skills[0], securityRequirements: [{ schemes: { key: { list: [] } } }] }],
    signatures: [{ protected: 'e30', signature: 'c2ln' }],
  }
  const answer = await stage.ask(caller, { method: 'GET', path })
  const shown = JSON.parse(answer.body) as Readonly<Record<string, unknown>>
  ok(!answer.body.includes('inside.acme.example'))
  deepEqual(Object.keys(shown).toSorted(), [
    'capabilities',
    'defaultInputModes',
    'defaultOutputModes',
    'description',
    'iconUrl',
    'name',
    'preferredTransport',
    'protocolVersion',
    'provider',
    'securityRequirements',
    'securitySchemes',
    'skills',
    'supportedInterfaces',
    'url',
    'version',
  ])
  deepEqual(shown['capabilities'], { streaming: true, pushNotifications: false })
  deepEqual(Object.keys(shown['securitySchemes'] as object), ['certificate', 'token'])
  deepEqual(shown['skills'], card.skills)
})
