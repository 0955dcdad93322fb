/** What keeps the record whole and small, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

function control(name: string, [file, testName]: readonly [string, string], edit: Edit): Control {
  return { name, edits: [edit], test: { file: `test/${file}.test.ts`, name: testName } }
}

const sink = 'unit/enforcement/record-second-sink'
const full = 'unit/enforcement/record-full-disk'
const kept = 'scenarios/kept-content'
const settle = 'packages/enforcement/src/record/second-sink.ts'

export const recordControls: readonly Control[] = [
  control(
    'record.second_sink',
    [
      'scenarios/record-faults',
      'EIO that stays, from the disk of the sink: nothing is served, and all is again when it ends',
    ],
    {
      file: 'packages/enforcement/src/record/open-record.ts',
      from: 'sink?.mirror() ??',
      to: 'null ??',
    },
  ),
  control(
    'record.second_sink_rollback',
    [sink, 'a sink that knows acknowledged entries which the log does not know: the log has gone back'],
    { file: settle, from: 'if (acknowledged || covered > next) throw', to: 'if (covered > next) throw' },
  ),
  control('record.second_sink_fork', [sink, 'the sink of another log or key, and one with other bytes, are refused'], {
    file: settle,
    from: 'if (!same || b.fault?.acknowledged === true) throw',
    to: 'if (frames < 0) throw',
  }),
  control('record.second_sink_folder', [sink, 'a folder that is not there is no new sink, and the same disk is told'], {
    file: settle,
    from: 'return found?.isDirectory() === true',
    to: 'return found?.isDirectory() !== false',
  }),
  control(
    'record.reserve',
    [full, 'a full disk is on record before nothing is written any more, and the record goes on by itself'],
    {
      file: 'packages/enforcement/src/record/suspension.ts',
      from: 'if (this.active || !this.#options.reserve.held) return false',
      to: 'return false',
    },
  ),
  control(
    'record.refusal_budget',
    [
      'scenarios/record-flood',
      'strangers who flood with broken handshakes, foreign certificates and huge paths cost 64 short entries a second',
    ],
    {
      file: 'packages/enforcement/src/record/refusal-counter.ts',
      from: 'const ENTRIES_PER_SECOND = 64',
      to: 'const ENTRIES_PER_SECOND = 6400',
    },
  ),
  control('audit.keep', [kept, 'what no rule stores is in no file'], {
    file: 'packages/core/src/kept/keep-members.ts',
    from: 'const mode = named === undefined ? node.rest : named.mode',
    to: "const mode = named === undefined ? 'store' : named.mode",
  }),
  control('audit.keep_secrets', [kept, 'secrets that are named by a rule all the same are not stored'], {
    file: 'packages/core/src/kept/secret-filter.ts',
    from: 'if (text.length < 8) return text',
    to: 'if (text.length >= 0) return text',
  }),
  control(
    'audit.hmac_recorded',
    [kept, 'an operator finds a value by its HMAC, and stands on record with the question'],
    {
      file: 'packages/server/src/apps/gateway.ts',
      from: "await record.append({ kind: 'admin', body: { change: 'audit.hmac', by } })",
      to: 'void [record, by]',
    },
  ),
  control('audit.links', ['unit/server/query', 'entries are found by each thing that they say, and by all together'], {
    file: 'packages/server/src/audit/query-filter.ts',
    from: '[...facts.principals, ...facts.actors].some',
    to: 'facts.principals.some',
  }),
]
