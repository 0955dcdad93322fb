/** What keeps servers to what was approved of them and of their answers, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const known = 'packages/enforcement/src/definitions/known-definitions.ts'
const gate = 'packages/enforcement/src/definitions/definition-gate.ts'
const traffic = 'packages/enforcement/src/mcp/server-traffic.ts'
const output = 'packages/enforcement/src/mcp/output-obligations.ts'
const definitions = 'test/refusals/definitions.test.ts'
const answers = 'test/refusals/output.test.ts'
const kept = 'test/unit/server/server-definitions.test.ts'

function control(name: string, [file, test]: readonly [string, string], ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file, name: test } }
}

const changed =
  'a description that has changed: the tool is left out of the list, and called by nobody, until it is approved'

export const definitionControls: readonly Control[] = [
  control('definitions.calls', [definitions, changed], {
    file: 'packages/enforcement/src/pipeline.ts',
    from: 'if (objected !== null) {',
    to: 'if (objected === undefined) {',
  }),
  control('definitions.lists', [definitions, changed], {
    file: 'packages/enforcement/src/mcp-list.ts',
    from: 'reader.approved?.[i] !== false &&',
    to: 'reader.approved?.[i] !== undefined &&',
  }),
  control('definitions.sticky', [definitions, changed], {
    file: known,
    from: 'if (this.#differing.has(key)) return false',
    to: 'this.#differing.delete(key)',
  }),
  control(
    'definitions.stale',
    [definitions, 'what the server says has changed is asked for again before the next call'],
    { file: gate, from: 'this.known.stale(kind)', to: 'this.known.standing(kind, method)' },
  ),
  control(
    'definitions.asked',
    [definitions, 'a caller who never lists is not let through to what has changed meanwhile'],
    { file: known, from: "return this.mode === 'required' ? 'unknown' : 'approved'", to: "return 'approved'" },
  ),
  control('definitions.none', [definitions, 'a server that nobody has approved opens no session, and hears of none'], {
    file: gate,
    from: 'if (known.approvedCount === 0) return',
    to: 'if (known.approvedCount < 0) return',
  }),
  control('definitions.server', [definitions, 'a server that says something else of itself opens no session'], {
    file: traffic,
    from: 'options.definitions?.see(request.method, result)?.includes(false) === true',
    to: 'options.definitions?.see(request.method, result)?.includes(false) === null',
  }),
  control(
    'definitions.first_use',
    [
      definitions,
      'on first use: what is seen first counts, what is flagged does not, and what changes afterwards is refused',
    ],
    {
      file: known,
      from: '.some((flag) => isGrave(flag))) return false',
      to: '.some((flag) => !isGrave(flag))) return false',
    },
  ),
  control('definitions.raced', [kept, 'what changes between showing and approving is not approved'], {
    file: 'packages/server/src/apps/server-definitions.ts',
    from: 'if (now !== digest)',
    to: "if (now === '')",
  }),
  control('definitions.sealed', [kept, 'a file that was altered, or that is of another server, does not open'], {
    file: 'packages/server/src/apps/definition-file.ts',
    from: 'return `gateway/${what}/${server}`',
    to: 'return `gateway/${what}/${server.length < 0}`',
  }),
  control(
    'definitions.older',
    [kept, 'an older file that is put back, another of the same number, and one that is gone are known as such'],
    {
      file: 'packages/server/src/apps/definition-file.ts',
      from: 'if (mark === null) return',
      to: 'if (mark !== undefined) return',
    },
  ),
  control(
    'definitions.reload',
    [
      kept,
      'what is approved while another instance of the server is made ready counts there, too, and later writes keep it',
    ],
    {
      file: 'packages/server/src/apps/server-definitions.ts',
      from: 'approved: (definitions) => this.known.approve(definitions)',
      to: 'approved: () => undefined',
    },
  ),
  control('output.secrets', [answers, 'are taken out of a JSON answer of redacts, and counted'], {
    file: traffic,
    from: 'if (options.output?.redact !== true) return',
    to: 'if (options.output?.redact !== false) return',
  }),
  control('output.errors', [answers, 'are taken out of errors, with a status of their own or without'], {
    file: output,
    from: 'return scan?.ok === true ?',
    to: 'return scan?.ok === false ?',
  }),
  control('output.fields', [answers, 'redacts: are in no id, name or other field'], {
    file: 'packages/server/src/transports/upstream-http-answer.ts',
    from: 'if (!isEventName(id) && textWithoutSecrets(withoutKnown(id)) === id) return id',
    to: 'if (!isEventName(id)) return id',
  }),
  control('output.tasks', [answers, 'checks: the result of a task is judged as that of its tool'], {
    file: output,
    from: "case 'tasks/result':",
    to: "case 'tasks/results':",
  }),
  control(
    'output.told',
    [answers, 'modern: a notification of a task that has ended passes with a result that fits alone'],
    {
      file: traffic,
      from: 'if (problem !== null) return dropped(scope, options, `of a task:',
      to: 'if (problem === "") return dropped(scope, options, `of a task:',
    },
  ),
  control('output.size', [answers, 'a JSON answer of small beyond its bound is replaced by an error'], {
    file: output,
    from: 'bytes.length > output.maxBytes',
    to: 'bytes.length < 0',
  }),
  control('output.structure', [answers, 'checks: {"n":"one"} does not'], {
    file: output,
    from: 'if (verdict.ok) return null',
    to: "if (verdict.ok || 'keyword' in verdict) return null",
  }),
]
