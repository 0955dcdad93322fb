/** What a sidecar asks of the machine that it stands on, and what it lets a program believe. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const apps = 'packages/server/src/apps/sidecar'
const transports = 'packages/server/src/transports/sidecar'
const refusals = 'test/refusals/sidecar.test.ts'
const believed = 'test/unit/sdk/assertion-verifier.test.ts'
const assertion = 'packages/core/src/token/principal-assertion.ts'

function control(name: string, [file, test]: readonly [string, string], edit: Edit): Control {
  return { name, edits: [edit], test: { file, name: test } }
}

export const sidecarControls: readonly Control[] = [
  control('sidecar.callers', [refusals, 'a caller is known by its program too, and nobody else of its user is one'], {
    file: `${apps}/local-callers.ts`,
    from: 'if ((await failingSelector(entry, facts)) === null) return null',
    to: 'if ((await failingSelector(entry, facts)) !== undefined) return null',
  }),
  control(
    'sidecar.port_callers',
    [refusals, 'another user of the machine does not borrow the sidecar, by socket or by port'],
    {
      file: `${apps}/local-callers.ts`,
      from: 'problem: async () => (listed ? null',
      to: 'problem: async () => (listed || uid > 0 ? null',
    },
  ),
  control(
    'sidecar.closed_sockets',
    [
      'test/unit/server/sidecar-tcp.test.ts',
      'a socket that its user has closed is nobody, though the kernel lists it as that of root',
    ],
    { file: `${apps}/tcp-owners.ts`, from: " || row.inode === '0'", to: '' },
  ),
  control('sidecar.socket_owner', [refusals, 'a socket that belongs to somebody else gets nothing'], {
    file: `${apps}/program.ts`,
    from: 'if (file.uid !== uid) return',
    to: 'if (file.uid < 0) return',
  }),
  control(
    'sidecar.listener_owner',
    [refusals, 'somebody else who listens at the socket gets nothing, though the file is right'],
    {
      file: `${apps}/program.ts`,
      from: 'if (credentials?.uid === uid) return socket',
      to: 'if (credentials !== null) return socket',
    },
  ),
  control(
    'sidecar.names_withheld',
    [refusals, 'neither credentials of the local program nor words about who calls pass'],
    { file: `${transports}/passing-headers.ts`, from: '(?:x-)?doorward-.*|forwarded|', to: '' },
  ),
  control(
    'sidecar.credentials_withheld',
    [refusals, 'neither credentials of the local program nor words about who calls pass'],
    { file: `${transports}/passing-headers.ts`, from: '|x-api-key|', to: '|' },
  ),
  control(
    'sidecar.answer_bytes',
    [refusals, 'what the program does not answer as it must is a failure with its code, on record'],
    { file: `${transports}/program-call.ts`, from: 'if (announced > limits.bytes', to: 'if (announced < 0' },
  ),
  control('sidecar.assertion_request', [believed, 'an assertion about this request holds, and no other one does'], {
    file: assertion,
    from: ' || claims.target !== check.target',
    to: '',
  }),
  control('sidecar.assertion_body', [believed, 'an assertion about this request holds, and no other one does'], {
    file: assertion,
    from: '(claims.body_sha256 ?? null) === check.bodySha256',
    to: "check.bodySha256 !== ''",
  }),
  control('sidecar.assertion_life', [believed, 'it lasts for a minute, whatever the clock of the program is'], {
    file: assertion,
    from: 'if (now >= claims.exp + leeway)',
    to: 'if (now < 0)',
  }),
  control('sidecar.assertion_once', [believed, 'it counts once'], {
    file: 'packages/sdk/src/assertion-verifier.ts',
    from: 'if (this.#older.has(id) || this.#newer.has(id) || ',
    to: 'if (',
  }),
]
