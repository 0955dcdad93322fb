/** What a program that protects itself asks of callers, and one that calls of callees, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const protect = 'packages/sdk/src/protect'
const mcp = 'sdk-protect-mcp'
const ownSession = 'a session is its caller’s alone: to anybody else, and by any other name, there is none'

interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

function control(name: string, [file, test]: readonly [string, string], edit: Change): Control {
  return { name, edits: [edit], test: { file: `test/refusals/${file}.test.ts`, name: test } }
}

export const calleeControls: readonly Control[] = [
  control(
    'callee.token',
    ['sdk-protect', 'a certificate alone is refused, and a token for another audience, of another key, or made up'],
    { file: `${protect}/protected-call.ts`, from: "credential: 'token',", to: "credential: 'certificate'," },
  ),
  control(
    'callee.routes',
    ['sdk-protect', 'a route that is not declared exists for nobody, and strangers to a role do nothing'],
    {
      file: `${protect}/route-table.ts`,
      from: 'const [best] = here.filter((route) => route.method === method)',
      to: 'const [best] = this.#routes',
    },
  ),
  control(
    'callee.credentials_withheld',
    ['sdk-protect', 'a caller with certificate, token and role is served, and the handler knows who it is'],
    {
      file: `${protect}/delivered-request.ts`,
      from: '/^(?:authorization|proxy-authorization|cookie|',
      to: '/^(?:',
    },
  ),
  control(
    'callee.overrides_withheld',
    ['sdk-protect', 'a handler sees neither credentials nor what would make another request of this one'],
    {
      file: `${protect}/delivered-request.ts`,
      from: 'x-http-method.*|x-method-override|',
      to: '',
    },
  ),
  control('callee.scope', ['sdk-protect', 'options that cannot be enforced are refused at the start'], {
    file: `${protect}/protect.ts`,
    from: "if (identity.trust.current()?.state.scope === 'full') return",
    to: 'if (identity.trust.current() !== null) return',
  }),
  control(
    'callee.calls_under_way',
    ['sdk-protect-under-way', 'all callers together have so many calls under way and no more'],
    { file: `${protect}/calls-under-way.ts`, from: 'if (this.size >= all)', to: 'if (this.size < 0)' },
  ),
  control(
    'callee.calls_under_way_per_caller',
    ['sdk-protect-under-way', 'a caller has so many calls under way and no more, while others are served'],
    { file: `${protect}/calls-under-way.ts`, from: '>= perCaller)', to: '< 0)' },
  ),
  control('callee.mcp_answers', [mcp, 'modern era: lists are filtered, calls decided, and tools know who calls'], {
    file: `${protect}/mcp-message.ts`,
    from: '    this.#answer = answer\n',
    to: '    answer.give()\n    this.#answer = answer\n',
  }),
  control('callee.mcp_effects', [mcp, 'a tool is called by its effect: who may read calls what only reads'], {
    file: `${protect}/mcp-surface.ts`,
    from: 'effectOf: toolEffects(declared),',
    to: "effectOf: () => 'read',",
  }),
  control('callee.mcp_sessions', [mcp, ownSession], {
    file: 'packages/enforcement/src/mcp/session.ts',
    from: ' || session.owner !== owner) return null',
    to: ') return null',
  }),
  control('callee.mcp_session_names', [mcp, ownSession], {
    file: `${protect}/mcp-message.ts`,
    from: 'session.version !== null ? session.id : null',
    to: 'session.version !== null ? (this.#parts.state.names.get(session) ?? null) : null',
  }),
  control(
    'callee.mcp_session_limits',
    [mcp, 'options of an MCP server that cannot be enforced are refused at the start'],
    {
      file: `${protect}/mcp-surface.ts`,
      from: '  requireLimits(Object.fromEntries(',
      to: '  void (Object.fromEntries(',
    },
  ),
  control('callee.mcp_tasks', [mcp, 'a task is its caller’s alone, in both eras, and in no list of others'], {
    file: `${protect}/mcp-surface.ts`,
    from: '    tasks: traffic.tasks,\n',
    to: '    tasks: null,\n',
  }),
  control('callee.mcp_task_lists', [mcp, 'a task is its caller’s alone, in both eras, and in no list of others'], {
    file: 'packages/enforcement/src/mcp/server-traffic.ts',
    from: "return typeof taskId === 'string' && isOwnTask(taskId, scope, options)",
    to: "return typeof taskId === 'string'",
  }),
  control(
    'callee.mcp_asks',
    [mcp, 'what a server asks that its client has not declared goes to nobody, and the server hears so'],
    {
      file: `${protect}/mcp-message.ts`,
      from: 'refuseToServer: (told) => answering.tell(told, this.#ownHeaders()),',
      to: 'refuseToServer: () => undefined,',
    },
  ),
  control(
    'callee.mcp_forbidden',
    [
      mcp,
      'who loses the role in the middle of a call hears nothing of it later, and the handler hears that nobody waits',
    ],
    {
      file: `${protect}/mcp-message.ts`,
      from: '    session.withhold(this.#pending)\n',
      to: '',
    },
  ),
  control(
    'callee.mcp_compressed',
    [mcp, 'an answer that is too large, compressed or a demand for credentials is refused, and its caller hears so'],
    {
      file: `${protect}/mcp-answer.ts`,
      from: "if (coding !== 'identity') return",
      to: "if (coding === '') return",
    },
  ),
  control('callee.a2a_tasks', ['sdk-protect-a2a', 'a task of another caller does not exist, whatever it is called'], {
    file: `${protect}/a2a-surface.ts`,
    from: 'const owner = ownerOf(identified.principal)',
    to: 'const owner = ownerOf(identified.principal).slice(0, 0)',
  }),
  control(
    'callee.a2a_answers',
    ['sdk-protect-a2a', 'an answer that is none to the request, or names a task of somebody else, is told to nobody'],
    {
      file: `${protect}/filtered-answer.ts`,
      from: '    if (told === null) return void this.#fail(filter.problem)\n    if (filter.isWhole)',
      to: '    if (told === null) return this.#end(new Uint8Array())\n    if (filter.isWhole)',
    },
  ),
  control('callee.a2a_events', ['sdk-protect-a2a', 'a stream breaks off at an event with a task of somebody else'], {
    file: `${protect}/filtered-answer.ts`,
    from: '    if (told === null) this.#fail(filter.problem)\n',
    to: '    if (told === null) return this.#write(bytes)\n',
  }),
  control(
    'callee.a2a_head',
    [
      'sdk-protect-a2a',
      'callers of A2A 0.3 are served beside those of 1.0, and of the head nothing goes on but what the message needs',
    ],
    {
      file: `${protect}/delivered-request.ts`,
      from: "if (message.alone) return (name) => name === 'host'",
      to: "if (message.alone) return (name) => name !== 'host' && !(name in own)",
    },
  ),
  control(
    'callee.a2a_card',
    ['sdk-protect-a2a', 'options of an agent that cannot be enforced are refused at the start'],
    {
      file: `${protect}/a2a-surface.ts`,
      from: "  if ('problem' in card)\n    throw",
      to: "  if ('problem' in card && given === null)\n    throw",
    },
  ),
  control(
    'callee.a2a_restart',
    [
      'sdk-protect-a2a',
      'after a restart a task is still its caller’s alone, and of no list before that caller names it',
    ],
    {
      file: `${protect}/callee-record.ts`,
      from: 'if (sealed !== null) return sealer.open(sealed, NAMES_CONTEXT)',
      to: 'if (sealed !== null) await sealer.open(sealed, NAMES_CONTEXT)',
    },
  ),
  control(
    'callee.rpc_declared',
    ['sdk-protect-rpc', 'a declared method is allowed by its effect or its name, and delivered as it came'],
    {
      file: `${protect}/rpc-surface.ts`,
      from: 'const declared = requireMethods(methods)',
      to: "const declared = new Map([...requireMethods(methods)].map(([name]) => [name, 'read' as const]))",
    },
  ),
  control(
    'callee.rpc_type',
    ['sdk-protect-rpc', 'a body is delivered as what it was read as, whatever its caller calls it'],
    {
      file: `${protect}/rpc-surface.ts`,
      from: "headers: { 'content-type': jsonType },",
      to: 'headers: {},',
    },
  ),
  control('callee.limits', ['sdk-protect-under-way', 'limits that limit nothing are refused at the start'], {
    file: `${protect}/protect-limits.ts`,
    from: 'if (!Number.isSafeInteger(value) || Number(value) <= 0)',
    to: "if (name === '')",
  }),
  control('callee.rates', ['sdk-protect-under-way', 'limits that limit nothing are refused at the start'], {
    file: `${protect}/protect.ts`,
    from: '  requireRates(rates)\n',
    to: '',
  }),
  control('callee.listener', ['sdk-protect-under-way', 'a limit of the listener that is not said is as by default'], {
    file: `${protect}/protect-limits.ts`,
    from: '.filter(([, value]) => value !== undefined)',
    to: '',
  }),
  control(
    'caller.expected_peer',
    ['sdk-connect', 'nobody is called of whom it was not said who answers, and another one gets no byte'],
    {
      file: 'packages/sdk/src/identity-fetch.ts',
      from: '(isAuthority ? authority.id.uri : undefined)',
      to: 'authority.id.uri',
    },
  ),
]
