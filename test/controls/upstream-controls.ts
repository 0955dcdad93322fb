/** What keeps failing servers from their callers and from each other, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const answer = 'packages/server/src/transports/upstream-http-answer.ts'
const guarded = 'packages/server/src/transports/guarded-upstream.ts'
const bounded = 'packages/server/src/transports/bounded-calls.ts'
const starts = 'packages/server/src/transports/process-starts.ts'
const sse = 'packages/server/src/transports/sse-channel.ts'
const backendCall = 'packages/server/src/transports/backend-call.ts'
const backendAnswer = 'packages/server/src/transports/backend-answer.ts'
const modernProcess = 'packages/server/src/transports/modern-stdio-process.ts'
const http = 'packages/server/src/transports/upstream-http.ts'

function control(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/refusals/upstream-faults.test.ts', name: test } }
}

const fails = (how: string, code: string) => `a server that ${how} is ${code}`

export const upstreamControls: readonly Control[] = [
  {
    name: 'exports.receiver_identity',
    test: {
      file: 'test/unit/server/alerts.test.ts',
      name: 'a receiver with another certificate gets nothing, and what the record does not take arrives without an entry, once',
    },
    edits: [
      {
        file: 'packages/server/src/audit/export/client-tls.ts',
        from: 'rejectUnauthorized: true,',
        to: 'rejectUnauthorized: false,',
      },
    ],
  },
  {
    name: 'tls.outward',
    test: { file: 'test/refusals/outward-tls.test.ts', name: 'is sent nothing over a suite without forward secrecy' },
    edits: [
      {
        file: 'packages/core/src/outward-tls.ts',
        from: "    'ECDHE-RSA-AES128-GCM-SHA256',",
        to: "    'ECDHE-RSA-AES128-GCM-SHA256',\n    'AES256-GCM-SHA384',",
      },
    ],
  },
  control(
    'upstream.circuit',
    'five failures in a row open the circuit: nothing is sent, until one call shows that it is back',
    { file: guarded, from: 'if (ticket === null) {', to: 'if (ticket === Number.NaN) {' },
  ),
  control('upstream.deadline', fails('sends its body slowly', 'upstream_timeout'), {
    file: answer,
    from: '      responseMilliseconds,\n    ).unref()',
    to: '      responseMilliseconds * 1000,\n    ).unref()',
  }),
  control('upstream.informational', fails('floods with informational answers', 'upstream_invalid'), {
    file: answer,
    from: 'if (++this.#informational > INFORMATIONAL)',
    to: 'if (++this.#informational < 0)',
  }),
  control(
    'upstream.id',
    fails("answers with somebody else's id", 'upstream_invalid'),
    {
      file: 'packages/enforcement/src/mcp/server-traffic.ts',
      from: "if (request === null) return dropped(scope, options, 'an answer that nobody waits for')",
      to: 'if (request === null) return pass(bytes, message)',
    },
    {
      file: 'packages/enforcement/src/wire/mcp-answer.ts',
      from: 'traffic.message.id !== requestId(reading)',
      to: 'traffic.message.id === undefined',
    },
  ),
  control('upstream.concurrency', 'a server has a bounded number of calls under way; one more is told to come back', {
    file: http,
    from: 'busy >= options.limits.concurrency ? false',
    to: 'busy < 0 ? false',
  }),
  control('upstream.retry.read', 'what reads is tried once more when nothing was sent; what writes is not', {
    file: http,
    from: 'REPEATABLE.has(call.action.group) ?',
    to: "REPEATABLE.has(call.action.group) || call.action.group === 'write' ?",
  }),
  control('upstream.retry.unsent', 'what was sent is never sent again', {
    file: answer,
    from: 'this.#retried || this.#controller !== null || ',
    to: 'this.#retried || ',
  }),
  ...[
    control('upstream.processes', 'a server has so many processes at once; one that ends makes room', {
      file: starts,
      from: 'if (this.#running >= processes - kept)',
      to: 'if (this.#running < 0 - processes - kept)',
    }),
    control('upstream.idle', 'a process that nobody uses ends, and its session with it', {
      file: 'packages/server/src/transports/duplex-session.ts',
      from: 'this.#usedAt < before',
      to: 'this.#usedAt < 0 - before',
    }),
    control('upstream.crashes', 'whose processes crash waits longer and longer, and nobody else does', {
      file: starts,
      from: 'if (circuit !== undefined && ticket === null) {',
      to: 'if (circuit === null) {',
    }),
    control('upstream.starts', 'a server that dies at every start is not started again and again', {
      file: guarded,
      from: "return this.#transport !== 'stdio' || opens",
      to: "return this.#transport !== 'stdio'",
    }),
    control('upstream.flood', 'a process that says far more than it is asked ends', {
      file: 'packages/server/src/transports/duplex-session.ts',
      from: 'return ++this.#unasked > UNASKED_PER_SECOND',
      to: 'return ++this.#unasked < 0',
    }),
  ].map((one) => ({ ...one, test: { ...one.test, file: 'test/refusals/gateway-transport-stdio.test.ts' } })),
  ...[
    control(
      'upstream.sse.origin',
      'an endpoint anywhere else than on the origin of the stream is refused, and nothing is sent there',
      {
        file: sse,
        from: 'url.origin !== base.origin || ',
        to: '',
      },
    ),
    control('upstream.sse.once', 'an endpoint is named once: a server that moves is not followed', {
      file: sse,
      from: "name === 'endpoint' && this.#endpoint === null",
      to: "name === 'endpoint'",
    }),
    control(
      'upstream.sse.events',
      "what a server sends that nobody asked for reaches nobody, and somebody else's answer least of all",
      {
        file: sse,
        from: "if (name === 'message') return",
        to: "if (name !== 'endpoint') return",
      },
    ),
  ].map((one) => ({ ...one, test: { ...one.test, file: 'test/refusals/upstream-sse.test.ts' } })),
  ...[
    control(
      'backend.path',
      'a path is decided and forwarded in its one spelling: any other is refused, and none means something else there',
      {
        file: 'packages/enforcement/src/wire/request-path.ts',
        from: "  return canonical === segment ? null : 'an escape in another spelling'",
        to: '  return null',
      },
    ),
    control(
      'backend.route',
      'the method is the action, the path the resource; what no permission covers does not reach the service',
      {
        file: backendCall,
        from: 'name: routeName(path)',
        to: "name: '/v1/public/items'",
      },
    ),
    control('backend.methods', 'only the methods of the service exist, and they are told', {
      file: backendCall,
      from: 'return methods.has(method) ?',
      to: 'return methods.size > 0 ?',
    }),
    control('backend.override', 'a parameter that stands for another method is refused', {
      file: backendCall,
      from: 'if (problem !== null) return problem',
      to: 'void problem',
    }),
    control('backend.headers', 'nothing of the caller but the listed headers reaches the service', {
      file: 'packages/server/src/transports/backend-upstream.ts',
      from: 'listedHeaders(head.headers, requestHeaders)',
      to: 'listedHeaders(head.headers, [...requestHeaders, ...Object.keys(head.headers)])',
    }),
  ].map((one) => ({ ...one, test: { ...one.test, file: 'test/refusals/http-backends.test.ts' } })),
  ...[
    control('backend.redirects', 'a service that redirects is upstream_invalid', {
      file: backendAnswer,
      from: 'status >= 300 && status < 400 && status !== NOT_MODIFIED',
      to: 'status < 100',
    }),
    control('backend.whole', 'an answer that stops is never taken for whole', {
      file: 'packages/server/src/transports/backend-reply.ts',
      from: '      exchange.response.destroy()\n      return this.#close(true)',
      to: '      exchange.response.end()\n      return this.#close(true)',
    }),
    control('backend.length', 'an answer that is too long is never taken for whole', {
      file: backendAnswer,
      from: 'if (this.#bytes > answerBytes)',
      to: 'if (this.#bytes < 0)',
    }),
  ].map((one) => ({ ...one, test: { ...one.test, file: 'test/refusals/http-backend-faults.test.ts' } })),
  ...[
    control('backend.redact', 'JSON and texts lose their secrets, and the outcome says how many', {
      file: 'packages/server/src/transports/backend-upstream.ts',
      from: '        redact,\n',
      to: '        redact: redact === null,\n',
    }),
    control('backend.redact.window', 'a secret in two pieces is found, and the lines of a stream pass as they come', {
      file: 'packages/core/src/output/secret-stream.ts',
      from: 'this.#take(safeCut(this.#held))',
      to: 'this.#take(this.#held.length + 0 * safeCut(this.#held))',
    }),
    control('backend.redact.long', 'a key that is longer than anything that is held back passes in no part', {
      file: 'packages/core/src/output/secret-stream.ts',
      from: "    if (this.#leaves !== null) return ''",
      to: '    this.#leaves = null',
    }),
    control('backend.redact.headers', 'headers that are listed lose theirs, and nobody is invited to ask for parts', {
      file: backendAnswer,
      from: 'return [name, filtered]',
      to: 'return [name, value]',
    }),
    control('backend.redact.unreadable', 'what cannot be read does not pass', {
      file: 'packages/server/src/transports/backend-redaction.ts',
      from: '    if (first.includes(0)) return null\n',
      to: '',
    }),
    control('backend.redact.parts', 'what cannot be read does not pass', {
      file: backendAnswer,
      from: 'if (status === PARTIAL && this.#parts.redact)',
      to: 'if (status === PARTIAL && !this.#parts.redact)',
    }),
  ].map((one) => ({ ...one, test: { ...one.test, file: 'test/refusals/http-backend-output.test.ts' } })),
  ...[
    control('calls.concurrent', 'a program has no more calls under way than it may', {
      file: bounded,
      from: 'this.#underWay >= concurrent',
      to: 'this.#underWay < 0',
    }),
    control('calls.concurrent.service', 'a service has no more calls under way than it may', {
      file: 'packages/server/src/transports/http-backends.ts',
      from: "if (!calls.begin(reply, (reason) => reply.fail('upstream_timeout', reason))) return",
      to: 'void calls',
    }),
    control('calls.deadline', 'a call ends with its deadline, and its server hears that nobody waits', {
      file: guarded,
      from: '    cancel(message.id)\n',
      to: '',
    }),
    control('calls.deadline.stream', 'so does one that has become a stream meanwhile, by a last message', {
      file: bounded,
      from: '() => onLate(`not all',
      to: '() => void (`not all',
    }),
  ].map((one) => ({ ...one, test: { ...one.test, file: 'test/refusals/call-bounds.test.ts' } })),
  ...[
    control('upstream.modern.caller', 'each caller has a process of its own', {
      file: 'packages/server/src/transports/modern-stdio.ts',
      from: 'name: scope.owner, principal: identified.principal',
      to: "name: 'everybody', principal: identified.principal",
    }),
    control('upstream.modern.ids', 'two requests of one caller under one id, or one token, are two answers', {
      file: modernProcess,
      from: 'this.#waiters.has(key) || ',
      to: '',
    }),
    control('upstream.modern.cancel', 'who listens hears what is said to it; going away is the cancellation', {
      file: modernProcess,
      from: 'this.#channel.write(cancellation(waiter.id), null)',
      to: 'void cancellation(waiter.id)',
    }),
    control('upstream.modern.given-up', 'an id that was given up is not used again before it is answered', {
      file: modernProcess,
      from: ' || this.#givenUp.has(key)) return false',
      to: ') return false',
    }),
    control('upstream.modern.log', 'a log message that names no request reaches nobody while several wait', {
      file: modernProcess,
      from: 'return another === undefined ? (only ?? null) : null',
      to: 'return another ?? only ?? null',
    }),
  ].map((one) => ({ ...one, test: { ...one.test, file: 'test/scenarios/modern-stdio.test.ts' } })),
  {
    name: 'backend.passed-headers',
    edits: [
      {
        file: 'packages/server/src/config/cross-check.ts',
        from: 'const wrong = headerNameProblem(header)',
        to: 'const wrong = headerNameProblem(header) === null ? null : null',
      },
    ],
    test: {
      file: 'test/unit/server/config-backends.test.ts',
      name: 'headers that say who or where somebody is are never passed on, in whatever direction',
    },
  },
]
