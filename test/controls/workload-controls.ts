/** The controls of the Workload API. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const peers = 'test/unit/server/workload-peers.test.ts'
const socket = 'test/unit/server/workload-socket.test.ts'
const served = 'test/scenarios/workload-api.test.ts'
const facts = 'packages/server/src/apps/workload-api/peer-facts.ts'
const calls = 'packages/server/src/apps/workload-api/workload-calls.ts'

function control(name: string, [file, test]: readonly [string, string], ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file, name: test } }
}

export const workloadControls: readonly Control[] = [
  control('workload.selectors', [peers, 'match when every selector does, and fail by each alone'], {
    file: 'packages/server/src/apps/workload-api/selectors.ts',
    from: 'if (!(await matches(name, entry, facts))) return name',
    to: 'if (!(await matches(name, entry, facts))) return null',
  }),
  control('workload.process', [peers, 'BS-6: of another start time under the same number is another one'], {
    file: facts,
    from: 'return started !== null && started === (await startOf(this.#places, pid))',
    to: 'return started !== null',
  }),
  control('workload.user', [peers, 'that has another user than when it connected gets nothing'], {
    file: facts,
    from: 'if (owner?.uid !== uid || owner.gid !== gid)',
    to: 'if (owner === null)',
  }),
  control('workload.program', [peers, 'BS-6: runs the file that is there, not one of the same name or content'], {
    file: facts,
    from: 'return b !== null && a.dev === b.dev && a.ino === b.ino',
    to: 'return b !== null && a.size === b.size',
  }),
  control('workload.unit', [peers, 'is in the outermost unit, which the system has named'], {
    file: facts,
    from: "const unit = parts.find((part) => !part.endsWith('.slice'))",
    to: "const unit = parts.findLast((part) => !part.endsWith('.slice'))",
  }),
  control('workload.folder', [socket, 'a folder that others may write to, or below one, is none, sticky or not'], {
    file: 'packages/server/src/transports/workload-api/open-socket.ts',
    from: 'if ((mode & OTHERS_WRITE) !== 0 && !sticky)',
    to: 'if (mode === 0 && !sticky)',
  }),
  control(
    'workload.jwt_denial',
    [
      'test/unit/server/workload-jwt-svids.test.ts',
      'RV-5, RV-6: one of a denied key, id, subject or epoch is refused, and so is one without an epoch',
    ],
    {
      file: 'packages/server/src/apps/workload-api/jwt-svids.ts',
      from: 'return isWithdrawn(verdict.svid, now.trust) ?',
      to: "return audience === '' ?",
    },
  ),
  control('workload.metadata', [served, 'WE-2: gets InvalidArgument without the metadata, or with another value'], {
    file: calls,
    from: "headers[HEADER] === 'true'",
    to: "headers[HEADER] !== 'false'",
  }),
]
