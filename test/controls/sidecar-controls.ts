/** What a sidecar asks of the machine that it stands on, and what it lets a program believe. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const apps = 'packages/server/src/apps/sidecar'
const transports = 'packages/server/src/transports/sidecar'
const refusals = 'test/refusals/sidecar.test.ts'
const lasting = 'test/scenarios/sidecar.test.ts'
const parts = 'test/unit/server/sidecar-parts.test.ts'
const endingTest = 'a sidecar that ends takes nothing new, lets what is under way go on, and says so until the end'
const believed = 'test/unit/sdk/assertion-verifier.test.ts'
const assertion = 'packages/core/src/token/principal-assertion.ts'

function control(name: string, [file, test]: readonly [string, string], edit: Edit): Control {
  return { name, edits: [edit], test: { file, name: test } }
}

const program = 'test/unit/server/sidecar-program.test.ts'
const messages = 'test/refusals/sidecar-messages.test.ts'

export const sidecarControls: readonly Control[] = [
  control(
    'bridge.local_callers',
    ['test/scenarios/bridge-listen.test.ts', 'another user of the machine does not call by this identity'],
    {
      file: 'packages/server/src/apps/bridge-listen.ts',
      from: 'if (user === this.#own) return true',
      to: 'if (user !== null) return true',
    },
  ),
  control(
    'sidecar.mcp',
    [messages, 'behind a sidecar an MCP server holds sessions with the official client, each its caller’s alone'],
    {
      file: 'packages/server/src/apps/sidecar/inbound.ts',
      from: 'return { mcp: { path: asked.path, effects: asked.effects } }',
      to: "return { routes: ['POST /mcp', 'GET /mcp', 'DELETE /mcp'] }",
    },
  ),
  control('sidecar.a2a', [messages, 'behind a sidecar a task of another caller does not exist'], {
    file: `${apps}/inbound.ts`,
    from: 'return { a2a: { path: asked.path, card: await readCardFile(asked.card) } }',
    to: "return { routes: [`POST ${asked.path}`, 'GET /.well-known/agent-card.json'] }",
  }),
  control(
    'sidecar.json_rpc',
    [messages, 'behind a sidecar declared methods of JSON-RPC are decided by the body, and delivered as it came'],
    {
      file: `${apps}/inbound.ts`,
      from: 'return { jsonRpc: { path: asked.path, methods: asked.methods } }',
      to: 'return { routes: [`POST ${asked.path}`] }',
    },
  ),
  control(
    'sidecar.one_way',
    ['test/unit/server/sidecar-file.test.ts', 'a program is asked in one way, and by messages as they can be judged'],
    {
      file: 'packages/server/src/config/sidecar-schema.ts',
      from: '.filter((name) => given[name] !== undefined).length === 1',
      to: '.filter((name) => given[name] !== undefined).length > 0',
    },
  ),
  control(
    'sidecar.card',
    ['test/unit/server/sidecar-file.test.ts', 'a card that cannot be shown is a mistake that `config check` tells'],
    {
      file: 'packages/server/src/config/sidecar-file.ts',
      from: "if (settings.inbound?.asked.kind === 'a2a') await",
      to: "if (settings.inbound?.asked.kind === 'a2a' && path === '') await",
    },
  ),
  control('sidecar.kept_whole', [program, 'a connection is not used again after more than the answer in one piece'], {
    file: `${apps}/program-connections.ts`,
    from: ' || !this.#seen.endWith(bodyBytes)',
    to: '',
  }),
  control('sidecar.kept_place', [program, 'a program that is started again is dialled anew, and judged anew'], {
    file: `${apps}/program-connections.ts`,
    from: 'kept.place === place && ',
    to: '',
  }),
  control('sidecar.sent_once', [program, 'a request that may have arrived is not sent again'], {
    file: `${transports}/program-call.ts`,
    from: 'if (!connection.isReused || !wasNotTaken(error, what)) return',
    to: 'if (!connection.isReused) return',
  }),
  control(
    'sidecar.dial_turns',
    [
      'test/unit/sdk/dial-turns.test.ts',
      'calls at once dial few connections at a time, take what is free before their turn, and are all answered',
    ],
    { file: 'packages/sdk/src/dial-turns.ts', from: 'if (this.#mayGo()) this.#add', to: 'if (true) this.#add' },
  ),
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
      from: 'if (credentials?.uid === uid) return null',
      to: 'if (credentials !== null) return null',
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
  control('sidecar.assertion_clock', [believed, 'it counts once, whatever is done to the clock'], {
    file: 'packages/sdk/src/assertion-verifier.ts',
    from: 'least(), reached.of(',
    to: 'reached.of(',
  }),
  control('sidecar.assertion_key_time', [believed, 'it counts once, whatever is done to the clock'], {
    file: 'packages/sdk/src/assertion-verifier.ts',
    from: 'reached.of(keyId, at), ',
    to: '',
  }),
  control(
    'sidecar.assertion_told_time',
    [
      believed,
      'a program that is started after its clock was put back believes what is asserted now, and nothing from before',
    ],
    { file: 'packages/sdk/src/assertion-verifier.ts', from: ', keys.told(at)', to: '' },
  ),
  control(
    'sidecar.assertion_own_time',
    [
      lasting,
      'what a sidecar says of callers holds though the clock of its machine is put back, and for a program that starts then',
    ],
    {
      file: `${apps}/sidecar.ts`,
      from: 'timeThatGoesOn(options.runtime ?? systemRuntime, (ahead) => options.report(assertsAhead(ahead)))',
      to: '(options.runtime ?? systemRuntime).wall',
    },
  ),
  control(
    'sidecar.stale_calls',
    [lasting, 'without news for five minutes nobody is called, and an answer that goes on is broken off'],
    { file: `${apps}/outbound.ts`, from: 'if (this.#isStale()) return stale', to: '' },
  ),
  control(
    'sidecar.stale_answers',
    [lasting, 'without news for five minutes nobody is called, and an answer that goes on is broken off'],
    { file: `${apps}/outbound.ts`, from: 'for (const end of this.#underWay) end.abort(staleness)', to: 'return' },
  ),
  control(
    'sidecar.caller_places',
    [lasting, 'more requests at once than a side takes are refused there, and what is under way goes on'],
    { file: `${apps}/inbound.ts`, from: 'callsUnderWayPerCaller: forwarding.perCallerConcurrent,', to: '' },
  ),
  control(
    'sidecar.places',
    [lasting, 'more requests at once than a side takes are refused there, and what is under way goes on'],
    { file: `${apps}/inbound.ts`, from: 'callsUnderWay: forwarding.limits.concurrent,', to: '' },
  ),
  control('sidecar.not_ready_ending', [lasting, endingTest], {
    file: `${apps}/sidecar.ts`,
    from: '!stopping && ',
    to: '',
  }),
  control(
    'sidecar.token_time',
    [
      'test/unit/sdk/signed-fetch.test.ts',
      'whoever is aborted while a token is fetched waits no longer, and the fetch goes on for the others',
    ],
    { file: 'packages/sdk/src/signed-fetch.ts', from: 'await Promise.race([wanted, promise])', to: 'await wanted' },
  ),
  control(
    'sidecar.header_lines',
    [refusals, 'a request with more headers than may be is refused, and none is left out of one that passes'],
    { file: `${apps}/outbound.ts`, from: 'if (!hasAllHeaders(request)) return', to: 'if (request.destroyed) return' },
  ),
  control(
    'sidecar.keys_folder',
    [parts, 'the file of keys can be read by everybody whatever the umask, and lies where nobody else can write'],
    { file: `${apps}/assertions.ts`, from: 'const path = await safePlace(asked)', to: 'const path = asked' },
  ),
  control(
    'sidecar.late_connections',
    [parts, 'a connection that was still looked at when the others were closed is not served'],
    {
      file: `${transports}/local-http.ts`,
      from: 'if (this.#closing) return void socket.destroy()',
      to: '',
    },
  ),
  control(
    'sidecar.platform_names',
    [
      parts,
      'headers by which platforms, gateways and frameworks name a caller do not pass, nor do credentials of theirs',
    ],
    { file: `${transports}/passing-headers.ts`, from: '[NAMING, PLATFORM, WITHHELD]', to: '[NAMING, WITHHELD]' },
  ),
  control(
    'sidecar.no_loop',
    [
      'test/unit/server/sidecar-file.test.ts',
      'whoever calls in does not call out: no outbound listener is where the program is',
    ],
    {
      file: 'packages/server/src/config/sidecar-check.ts',
      from: '(at?.port === undefined ? undefined : `port ${at.port}`)',
      to: 'undefined',
    },
  ),
  control(
    'sidecar.given_to',
    [
      lasting,
      'a program that the kernel knows is given the identity of its sidecar; any other one is not, and that is on record',
    ],
    {
      file: `${apps}/given-identity.ts`,
      from: '({ ...entry, identity: name })',
      to: '({ uid: entry.uid, identity: name })',
    },
  ),
  control(
    'sidecar.given_recorded',
    [
      lasting,
      'a program that the kernel knows is given the identity of its sidecar; any other one is not, and that is on record',
    ],
    { file: `${apps}/given-identity.ts`, from: 'record.refusals.count(', to: 'void (' },
  ),
  control('sidecar.keys_held', [believed, 'a reading that fails, or brings no key, takes no key away that is held'], {
    file: 'packages/sdk/src/assertion-verifier.ts',
    from: 'if (found.size > 0 && number > this.#knownBy)',
    to: 'if (number > this.#knownBy)',
  }),
  control(
    'sidecar.keys_paced',
    [believed, 'keys that cannot be read at first are asked for once a second, and not by each call'],
    {
      file: 'packages/sdk/src/assertion-verifier.ts',
      from: 'if (this.#reading !== null && ',
      to: 'if (this.#reading !== null && this.#known !== null && ',
    },
  ),
]
