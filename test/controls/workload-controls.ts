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
    from: 'return this.#started !== null && this.#started === startOf(this.#places, pid)',
    to: 'return this.#started !== null',
  }),
  control('workload.user', [peers, 'that has another user than when it connected gets nothing'], {
    file: facts,
    from: 'if (owner?.uid !== uid || owner.gid !== gid)',
    to: 'if (owner === null)',
  }),
  control('workload.program', [peers, 'BS-6: runs the file that is there, not one of the same name or content'], {
    file: 'packages/server/src/apps/workload-api/program-digests.ts',
    from: 'return b !== null && a.dev === b.dev && a.ino === b.ino',
    to: 'return b !== null && a.size === b.size',
  }),
  control(
    'workload.descriptor',
    [peers, 'BS-6: is believed about its age alone: whatever else keeps a descriptor away, nobody is served'],
    {
      file: 'packages/server/src/apps/workload-api/peer-credentials.ts',
      from: 'return held === NO_SUCH_OPTION ?',
      to: 'return held !== 0 ?',
    },
  ),
  control('workload.turns', [peers, 'are read one of each user and four at once, however many programs connect'], {
    file: 'packages/server/src/apps/workload-api/program-digests.ts',
    from: '!this.#reading.has(program.uid)',
    to: 'program.uid >= 0',
  }),
  control(
    'workload.idle',
    [socket, 'who calls no more leaves his place; an open stream keeps it, however long it says nothing'],
    {
      file: 'packages/server/src/transports/grpc/grpc.ts',
      from: 'timer = setTimeout(leave, limits.idleMilliseconds)',
      to: 'clearTimeout(timer)',
    },
  ),
  control(
    'workload.withdrawal',
    [
      'test/unit/server/workload-streams.test.ts',
      'WA-2: an anchor or a key that is withdrawn is told at once, also while a renewal waits',
    ],
    {
      file: 'packages/server/src/apps/workload-api/stream-state.ts',
      from: 'if ([...names].some((name) => !left.has(name))) return true',
      to: 'if (left.size === 0) return true',
    },
  ),
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
