/** What stands between agents and their callers, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const classify = 'packages/core/src/a2a/classify.ts'
const names = 'packages/core/src/a2a/names.ts'
const request = 'packages/enforcement/src/agents/agent-request.ts'
const answers = 'packages/enforcement/src/agents/agent-answers.ts'
const cardGate = 'packages/server/src/transports/agent-card.ts'
const call = 'packages/server/src/transports/agent-call.ts'
const rpc = 'packages/enforcement/src/rpc-request.ts'

const inFile =
  (file: string) =>
  (name: string, test: string, ...edits: readonly Edit[]): Control => ({
    name,
    edits,
    test: { file: `test/refusals/${file}.test.ts`, name: test },
  })
const agent = inFile('agents')
const card = inFile('agent-cards')
const plain = inFile('json-rpc')
const told = inFile('agent-names')

const before = (what: string) => `refused before it is sent: ${what}`

export const agentControls: readonly Control[] = [
  agent('agent.version', before('a version that is not of the method'), {
    file: classify,
    from: 'if (versionOf(version) !== revision.version)',
    to: "if (versionOf(version) === '')",
  }),
  agent('agent.tenant', before('a tenant'), {
    file: classify,
    from: "if (tenant !== undefined && tenant !== null && tenant !== '')",
    to: "if (tenant === 'nobody')",
  }),
  agent('agent.push', before('a URL for notifications'), {
    file: classify,
    from: '(member(object, key) ?? null) !== null)',
    to: 'member(object, key) === false)',
  }),
  agent('agent.spelling', before('a task by the other name'), {
    file: names,
    from: '  if (misreads(place.value, shape)) return false\n',
    to: '  void misreads\n',
  }),
  agent(
    'agent.owner',
    'a task of another caller does not exist: none of its names is good for anybody else, nor is a bare one',
    {
      file: 'packages/enforcement/src/agents/agent-names.ts',
      from: 'const text = JSON.stringify([`a2a-${sort}-${kind}`, agent, owner, name])',
      to: 'const text = JSON.stringify([`a2a-${sort}-${kind}`, agent, owner.length > 0, name])',
    },
  ),
  agent(
    'agent.bare',
    'a task of another caller does not exist: none of its names is good for anybody else, nor is a bare one',
    {
      file: request,
      from: '    if (change === null) return null\n',
      to: '    if (change === null) continue\n',
    },
  ),
  agent(
    'agent.list',
    'a list shows each caller its own tasks and counts no others',
    {
      file: answers,
      from: "if (owners.ownerOf('task', id) !== owner) return false",
      to: "if (owners.ownerOf('task', id) === null) return false",
    },
    {
      file: answers,
      from: '(owners.ownerOf(kind, name) ?? owner) === owner)',
      to: "(owners.ownerOf(kind, name) ?? owner) !== '')",
    },
  ),
  agent('agent.answer', 'an agent that answers with a task of somebody else is not passed on', {
    file: answers,
    from: '(owners.ownerOf(kind, name) ?? owner) !== owner\n',
    to: "(owners.ownerOf(kind, name) ?? owner) === ''\n",
  }),
  agent('agent.same', 'an agent that answers with another task than was asked about is not passed on', {
    file: answers,
    from: 'idOf(value) !== asked)',
    to: 'idOf(value) === asked)',
  }),
  agent('agent.headers', 'nothing of the caller goes on but the message: no token, no cookie, no extension', {
    file: 'packages/server/src/transports/backend-upstream.ts',
    from: '...(message?.headers ?? listedHeaders(head.headers, requestHeaders)),',
    to: '...listedHeaders(head.headers, Object.keys(head.headers)),',
  }),
  card(
    'agent.card.approval',
    'a card that has changed is refused, and every call with it, until an operator approves it',
    {
      file: cardGate,
      from: 'if (known === null || known.see(definitionOf(card))) return { card }',
      to: 'if (known === null || known.see(definitionOf(card)) !== null) return { card }',
    },
  ),
  card(
    'agent.card.signature',
    'a card that is signed by a configured key passes; by another key, or altered since, it does not',
    {
      file: cardGate,
      from: 'if (keyOf !== null && !isSignedBy(card, keyOf))',
      to: 'if (keyOf !== null && isSignedBy(card, keyOf) === null)',
    },
  ),
  card('agent.card.calls', 'where approval is required nothing passes before it', {
    file: call,
    from: 'objection: () => cards.objection(message.version),',
    to: 'objection: null,',
  }),
  card(
    'agent.card.shown',
    'a card that is looked at anew while it is answered is the one that was judged, and the question goes nowhere',
    {
      file: 'packages/server/src/transports/http-backends.ts',
      from: 'if (own !== undefined) return answer(permit, reply, own())',
      to: 'if (own === null) return answer(permit, reply, own)',
    },
  ),
  told('agent.noted', 'what a caller names without a permission is remembered for nobody', {
    file: request,
    from: '  const { row, task } = message\n',
    to: '  const { row, task } = message\n  for (const [{ kind }, each] of own.names) scope.owners.note(kind, each, scope.owner)\n',
  }),
  told('agent.answered', 'an answer that is not passed on makes nothing anybody’s', {
    file: answers,
    from: "    if (edits === null) return { problem: 'a task or context of another caller' }\n    // A task",
    to: "    for (const { kind, name } of names) if (owners.ownerOf(kind, name) === null) owners.note(kind, name, owner)\n    if (edits === null) return { problem: 'a task or context of another caller' }\n    // A task",
  }),
  {
    name: 'agent.forgotten',
    edits: [
      {
        file: 'packages/enforcement/src/agents/task-owners.ts',
        from: 'this.#forgetFirst(this.#each.get(this.#richest()) ?? [])',
        to: 'this.#forgetFirst(this.#owners.keys())',
      },
    ],
    test: {
      file: 'test/unit/enforcement/task-owners.test.ts',
      name: 'callers with thousands of tasks push out their own, not the task of one who has a single one',
    },
  },
  {
    name: 'agent.moved',
    edits: [
      {
        file: 'packages/server/src/apps/gateway-definitions.ts',
        from: 'if (this.#servers.get(server) === opened) this.#servers.delete(server)',
        to: 'if (opened !== null) this.#servers.delete(server)',
      },
    ],
    test: {
      file: 'test/unit/server/live-servers.test.ts',
      name: 'a name that moves from the agents to the servers in one change, or back, keeps what is approved of who has it now',
    },
  },
  told('agent.length', 'whatever name passes one way passes back, and a longer one does not pass at all', {
    file: names,
    from: '(name.startsWith(proven) ? LONGEST : LONGEST - PROOF)',
    to: '(name.startsWith(proven) ? LONGEST : LONGEST)',
  }),
  {
    name: 'agent.whole',
    edits: [
      {
        file: 'packages/enforcement/src/wire/agent-answer-filter.ts',
        from: 'Math.min(most, MESSAGE_BYTES)',
        to: 'Math.max(most, MESSAGE_BYTES)',
      },
    ],
    test: {
      file: 'test/unit/enforcement/agent-answer-filter.test.ts',
      name: 'a message of an agent is at most 4 MiB, whatever its answers may be otherwise',
    },
  },
  {
    name: 'agent.answer_charset',
    edits: [
      {
        file: 'packages/enforcement/src/wire/agent-answer-filter.ts',
        from: "isMediaType(contentType, 'application/json')",
        to: "contentType.startsWith('application/json')",
      },
    ],
    test: {
      file: 'test/refusals/agents.test.ts',
      name: 'an agent that answers in another character set than is read is not passed on',
    },
  },
  plain('rpc.charset', before('a body that is called charset=utf-7'), {
    file: 'packages/enforcement/src/media-type.ts',
    from: '/^charset=(?:utf-8|"utf-8")$/',
    to: '/^charset=/',
  }),
  plain('rpc.content-type', 'a body goes on as what it was read as, whatever its caller calls it', {
    file: 'packages/server/src/transports/backend-upstream.ts',
    from: "{ 'content-type': contentType }),",
    to: '{}),',
  }),
  plain('rpc.declared', 'a declared method is allowed by its effect or its name, and sent to the one URL as it came', {
    file: rpc,
    from: "action: { name: 'rpc/call', group },",
    to: "action: { name: 'rpc/call', group: group === 'write' ? 'read' : group },",
  }),
  plain('rpc.unknown', before('a method that is not declared'), {
    file: rpc,
    from: 'const group = methods.get(method)\n',
    to: "const group = methods.get(method) ?? 'read'\n",
  }),
]
