/** What keeps calls from being made that no human has approved, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const stage = 'packages/enforcement/src/approval.ts'
const desk = 'packages/enforcement/src/approvals/approval-desk.ts'
const request = 'packages/enforcement/src/approvals/approval-request.ts'
const duties = 'packages/core/src/policy/approval-duties.ts'
const calls = 'test/refusals/approvals.test.ts'
const bounds = 'test/refusals/approvals-bounds.test.ts'
const policies = 'test/unit/core/approval-duties.test.ts'
const links = 'test/refusals/approval-links.test.ts'
const served = 'packages/server/src/transports/approval-links.ts'

function control(name: string, [file, test]: readonly [string, string], ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file, name: test } }
}

const once = 'a call reaches its server once, when somebody has approved exactly it'

const progress = 'test/refusals/approval-progress.test.ts'

export const approvalControls: readonly Control[] = [
  control('approvals.progress.asked', [progress, 'without a progress token nothing is told before the answer'], {
    file: 'packages/server/src/transports/waiting-progress.ts',
    from: 'if (message.progressToken !== undefined) this.#tell(waiting, message.progressToken)',
    to: "this.#tell(waiting, message.progressToken ?? '')",
  }),
  control('approvals.gone', [progress, 'a call of the modern era ends its wait by closing the stream'], {
    file: stage,
    from: "if (gone && 'id' in answer)",
    to: "if (gone && answer.kind === 'approved')",
  }),
  control(
    'approvals.cancelled',
    [progress, 'a call of a session that is cancelled waits no longer, and its server hears of neither'],
    {
      file: 'packages/enforcement/src/mcp/session-begins.ts',
      from: "session.cancelHeld(message.refersTo)) return 'done'",
      to: 'session.cancelHeld(message.refersTo)) void session',
    },
  ),
  control('approvals.stage', [calls, once], {
    file: stage,
    from: 'if (ask === null) return { authorized, claim: null }\n  const { approvals',
    to: 'if (ask !== undefined) return { authorized, claim: null }\n  const { approvals',
  }),
  control('approvals.rules', [calls, once], {
    file: duties,
    from: 'if (permissionCovers(permission, action, resource)) ask(by, id)',
    to: "if (permissionCovers(permission, action, resource) && id === '') ask(by, id)",
  }),
  control('approvals.annotation', [calls, 'a member of another group'], {
    file: duties,
    from: 'if (by !== undefined) ask(by, id)',
    to: "if (by === '') ask(by, id)",
  }),
  control('approvals.annotation_known', [policies, '@approval'], {
    file: 'packages/server/src/policy/prepare-policy-worker.ts',
    from: 'problems.push(...approverProblems(read, compiled))',
    to: 'void approverProblems(read, compiled)',
  }),
  {
    name: 'approvals.message_id',
    edits: [
      {
        file: 'packages/enforcement/src/exact-call.ts',
        from: ' || !UUID.test(messageId))',
        to: ' || UUID.exec(messageId) === undefined)',
      },
    ],
    test: {
      file: 'test/refusals/approvals-agents.test.ts',
      name: 'an id that could say something is part of what is approved, and is shown',
    },
  },
  control('approvals.exact', [calls, 'numbers that no double can tell apart are two calls'], {
    file: request,
    from: 'digest,\n    asked,',
    to: "digest: '',\n    asked,",
  }),
  control('approvals.numbers', [calls, 'numbers that no double can tell apart are two calls'], {
    file: 'packages/enforcement/src/exact-call.ts',
    from: 'text: exactJson(body, namesExchange)',
    to: 'text: JSON.stringify(isJsonObject(value) ? value["params"] : null)',
  }),
  control(
    'approvals.params',
    [bounds, 'a call of plain JSON-RPC is bound to all of its params, and all of them are shown'],
    {
      file: 'packages/enforcement/src/exact-call.ts',
      from: 'text: exactJson(body, isEnvelope)',
      to: 'text: exactJson(body, namesExchange)',
    },
  ),
  control('approvals.caller', [calls, 'another caller with the same call needs an approval of its own'], {
    file: request,
    from: 'const bound = {\n    who,',
    to: 'const bound = {',
  }),
  control('approvals.single_use', [calls, 'fifty calls at the same time make one request, and one of them passes'], {
    file: desk,
    from: "held.busy || held.request.state !== 'approved'",
    to: "held.request.state !== 'approved'",
  }),
  control('approvals.self', [calls, 'the caller itself, though it is in the group'], {
    file: desk,
    from: 'takesPart(approver.principal, request.parties)',
    to: 'takesPart(approver.principal, [])',
  }),
  control('approvals.members', [calls, 'a member of another group'], {
    file: desk,
    from: 'filter(({ by }) => groups.has(by))',
    to: 'filter(({ by }) => groups.size > 0 && by !== "")',
  }),
  control('approvals.looked_at', [calls, 'somebody who has looked at another call'], {
    file: desk,
    from: "if (request.digest !== digest) return 'changed'",
    to: "if (digest === '') return 'changed'",
  }),
  control(
    'approvals.every_group',
    [calls, 'what a permit and a rule ask for is asked of both groups, whatever else permits the call'],
    {
      file: desk,
      from: 'const complete = before.duties.every(',
      to: 'const complete = before.duties.some(',
    },
  ),
  control('approvals.expires', [bounds, 'an approval that no call has used in time'], {
    file: desk,
    from: 'return request.expires <= this.#parts.clock()',
    to: 'return request.expires < 0',
  }),
  control('approvals.anew', [bounds, 'the policy does not allow the call any more'], {
    file: stage,
    from: 'const now = await again()',
    to: 'const now = authorized',
  }),
  control('approvals.revoked', [bounds, 'whoever has approved has been revoked, or is in the group no longer'], {
    file: desk,
    from: 'if (!this.#isStillGood(request)) {',
    to: 'if (!this.#isStillGood(request) && request.given.length === 0) {',
  }),
  control('approvals.durable_use', [bounds, 'does not know an approval that a call has used'], {
    file: desk,
    from: 'await this.#parts.store.remove(request.id)\n      this.#forget(held)',
    to: 'this.#forget(held)',
  }),
  control('approvals.recorded', [bounds, 'the record takes neither requests nor answers'], {
    file: desk,
    from: "await this.#parts.log.append({ kind: 'approval', body: { event, approval: id, ...caller, ...what, ...more } })",
    to: "await this.#parts.log.append({ kind: 'approval', body: { event, approval: id, ...caller, ...what, ...more } }).catch(() => null)",
  }),
  control('approvals.shown', [bounds, 'what is more than anybody can look at is not asked for'], {
    file: request,
    from: '> MAX_SHOWN ? null : shown',
    to: '> MAX_SHOWN ? {} : shown',
  }),
  control(
    'approvals.redacted',
    [bounds, 'secrets are taken out of what approvers see, and a long text does not hide the others'],
    {
      file: request,
      from: 'shortened(withoutSecrets(value))',
      to: 'shortened(value)',
    },
  ),
  control('approvals.limit', [bounds, 'one caller has so many requests, and others have theirs'], {
    file: desk,
    from: 'this.#pendingOf(ask) >= MOST_PENDING',
    to: 'this.#pendingOf(ask) >= MOST_KEPT',
  }),
  control('approvals.cooling', [bounds, 'after three denials of one caller and tool nobody is asked for a while'], {
    file: desk,
    from: 'if (pause > 0) return',
    to: 'if (pause < 0) return',
  }),
  control(
    'approvals.prefetch',
    [links, 'fetching a link shows the call and approves nothing, however often; its form approves it once'],
    {
      file: served,
      from: "if (head.method !== 'POST') return deny('http_method'",
      to: "if (head.method === 'GET') return pageOf(await desk.decide(request, { kind: 'link', group, remoteAddress: '' }, { approve: true, reason: '' }))\n  if (head.method !== 'POST') return deny('http_method'",
    },
    {
      file: served,
      from: "if (head.method === 'GET') return approvalPage(request, group, token)",
      to: "if (head.method === 'HEAD') return approvalPage(request, group, token)",
    },
  ),
  control('approvals.same_origin', [links, 'nothing but the form of the page answers'], {
    file: served,
    from: "headers['origin'] !== origin ||",
    to: "headers['origin'] === '' ||",
  }),
  control('approvals.form_token', [links, 'nothing but the form of the page answers'], {
    file: served,
    from: 'if (!equalBytes(utf8(form.token), utf8(token)))',
    to: "if (token === '')",
  }),
  control(
    'approvals.link_once',
    [links, 'a link is good for one answer, and for none when the request is over or links are off'],
    {
      file: desk,
      from: 'return open && allowed && held.told && !this.#isOver(held) ? { request, group } : null',
      to: 'return allowed && held.told ? { request, group } : null',
    },
  ),
  control('approvals.escaped', [links, 'whatever a caller writes is text on the page'], {
    file: 'packages/server/src/transports/approval-page.ts',
    from: "return lines.join('\\n').replaceAll(",
    to: "if (lines.length > 0) return lines.join('\\n')\n  return lines.join('').replaceAll(",
  }),
]
