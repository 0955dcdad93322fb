/** What keeps the callers of the modern era apart and its answers honest, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const refusals = 'test/refusals/modern-http.test.ts'
const scenarios = 'test/scenarios/modern-http.test.ts'
const transports = 'packages/server/src/transports'
const mcp = 'packages/enforcement/src/mcp'

function control(name: string, file: string, test: string, edit: Edit): Control {
  return { name, edits: [edit], test: { file, name: test } }
}

export const modernControls: readonly Control[] = [
  control(
    'modern.capabilities',
    'test/refusals/capabilities.test.ts',
    'where no tool may write or administer, whoever may do only that hears of no tools',
    {
      file: `${mcp}/denied-capabilities.ts`,
      from: 'if (!could.includes(true)) denied.push(path)',
      to: 'if (could.length === 0) denied.push(path)',
    },
  ),
  control(
    'streams.unread',
    'test/refusals/slow-readers.test.ts',
    'a server over HTTP waits for a caller of the legacy era that does not read',
    {
      file: 'packages/enforcement/src/wire/exchange.ts',
      from: 'if (response.writableLength > mostWaiting &&',
      to: 'if (response.writableLength < 0 &&',
    },
  ),
  control('streams.backlog', 'test/refusals/slow-readers.test.ts', 'a process waits for a caller that does not read', {
    file: `${transports}/backlog.ts`,
    from: 'if (this.#paused || this.#held <= mostBacklog) return',
    to: 'if (this.#paused || this.#held > 0) return',
  }),
  control(
    'modern.post',
    refusals,
    'a server without sessions is asked by POST alone: whoever does not say the era gets 405, too',
    {
      file: `${transports}/server-versions.ts`,
      from: 'if (this.#opens !== null) return !this.#opens',
      to: 'if (this.#opens !== null) return false',
    },
  ),
  control(
    'modern.handles',
    scenarios,
    'MC-16: a state comes back as the server wrote it, from its caller and with its request alone',
    {
      file: `${mcp}/handles.ts`,
      from: 'if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null',
      to: 'if (given.length !== expected.length) return null',
    },
  ),
  control('modern.tasks', scenarios, 'MC-17: of others, or of nobody, do not exist', {
    file: `${mcp}/handles.ts`,
    from: 'const text = JSON.stringify([use.kind, use.server, use.owner, ...fields, expiry, name])',
    to: 'const text = JSON.stringify([use.kind, use.server, ...fields, expiry, name])',
  }),
  control('modern.input', scenarios, 'MC-15: do not pass otherwise', {
    file: `${mcp}/modern-answer.ts`,
    from: 'if (problem !== null) return { problem }',
    to: 'if (problem === null && method === "") return { problem: "" }',
  }),
  control('modern.private', scenarios, 'MC-13: lists hold what a call of it could be allowed, and are private', {
    file: `${mcp}/modern-answer.ts`,
    from: "return cacheScope === undefined || cacheScope === 'private' ? []",
    to: 'return cacheScope !== 1 ? []',
  }),
  control('modern.parts', scenarios, 'MC-18: is refused whole where one of its parts is not allowed', {
    file: 'packages/enforcement/src/authorize.ts',
    from: 'return parts === undefined ? authorizing(call)',
    to: 'return parts !== null ? authorizing(call)',
  }),
  control('modern.listens', scenarios, 'MC-19: has so many streams open for one caller, and no more', {
    file: 'packages/server/src/config/quotas.ts',
    from: "new Set(['subscriptions/listen', ",
    to: 'new Set([',
  }),
  control('modern.parameters', refusals, 'a parameter in bad base64', {
    file: 'packages/enforcement/src/mcp-message.ts',
    from: "if (name.startsWith('mcp-param-') &&",
    to: "if (name === '' &&",
  }),
  control('modern.cancel', scenarios, 'MC-11: ends at its server when its caller goes, and the outcome says so', {
    file: `${transports}/upstream-http-answer.ts`,
    from: "parts.reply.onClose(() => this.cancel('the caller has gone'))",
    to: 'parts.reply.onClose(() => undefined)',
  }),
  control(
    'modern.fallback',
    scenarios,
    'MC-8: an error of the server passes with its status and id, one without its id does not',
    {
      file: 'packages/enforcement/src/wire/mcp-answer.ts',
      from: 'const MUST_NAME_ID = new Set([400, 404, 405])',
      to: 'const MUST_NAME_ID = new Set([499])',
    },
  ),
  control(
    'modern.versions',
    'test/refusals/gateway-transport-http.test.ts',
    'a message of an era that the server does not speak is refused with the versions that it does',
    {
      file: `${transports}/server-versions.ts`,
      from: 'if (known.includes(version)) return send()',
      to: 'if (known.length > 0) return send()',
    },
  ),
]
