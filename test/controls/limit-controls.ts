/** The limits of `limits:`, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const settings = 'packages/server/src/config/settings.ts'
const gate = 'packages/enforcement/src/wire/connection-gate.ts'
const asMany =
  'limits.connections_per_ip: an address has as many as it may, which go on when the next is refused; one that closes makes room'
const networks =
  'limits.networks: an address has the number of the narrowest named network, and the general one where that has none'

const underWay = 'limits.quotas: a caller has as many calls under way as it may; one that ends or breaks off makes room'
const ofTool = 'limits.quotas: a tool has a rate of its own for the workloads it names, told in RateLimit fields'

const ofLoop =
  'a loop that lags sheds connections, then strangers, never known callers; it is told, counted and over by itself'

interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

function control(name: string, [file, test]: readonly [string, string], ...edits: readonly Change[]): Control {
  return { name, edits, test: { file: `test/refusals/${file}.test.ts`, name: test } }
}

export const limitControls: readonly Control[] = [
  control('limits.connections_per_ip', ['limits-connections', asMany], {
    file: settings,
    from: 'connectionsPerAddress: connections_per_ip,',
    to: 'connectionsPerAddress: Math.max(connections_per_ip, 10_000),',
  }),
  control('limits.connections_per_ip.gate', ['limits-connections', asMany], {
    file: gate,
    from: 'if ((seen?.open ?? 0) >= limits.connectionsPerAddress)',
    to: 'if ((seen?.open ?? 0) >= limits.connections)',
  }),
  control('limits.connections_per_ip.record', ['limits-connections', asMany], {
    file: 'packages/enforcement/src/wire/listener.ts',
    from: 'onRefused: (address, reason, detail) => this.#refused(address, reason, detail),',
    to: 'onRefused: () => undefined,',
  }),
  control('limits.networks.connections_per_ip', ['limits-connections', networks], {
    file: settings,
    from: '{ connectionsPerAddress: own.connections_per_ip }',
    to: '{ connectionsPerAddress: Math.max(own.connections_per_ip, 1000) }',
  }),
  control('limits.networks.narrowest', ['limits-connections', networks], {
    file: settings,
    from: '.toSorted((a, b) => b.network.prefix - a.network.prefix)',
    to: '.toSorted((a, b) => a.network.prefix - b.network.prefix)',
  }),
  control(
    'handshakes.pending',
    [
      'limits-connections',
      'handshakes under way are limited in all, and each that breaks off gives its place back once',
    ],
    {
      file: gate,
      from: 'if (this.#pending >= limits.pendingHandshakes)',
      to: 'if (this.#pending >= limits.connections)',
    },
  ),
  control(
    'limits.handshakes_per_ip',
    ['limits-rates', 'limits.handshakes_per_ip: an address is refused before the handshake, and others go on'],
    {
      file: gate,
      from: "if (!cell.ok) return 'handshake_rate'",
      to: 'if (!cell.ok) Object.assign(cell, { arrival: now })',
    },
  ),
  control(
    'limits.networks.per_ip',
    ['limits-rates', 'limits.networks: an address of a named network has the limit of that network'],
    { file: settings, from: 'networkOf(address)?.per_ip ?? general', to: '(networkOf(address) && null) ?? general' },
  ),
  control(
    'limits.quotas',
    ['limits-rates', 'limits.quotas: an action is refused after its quota, other actions of the same caller go on'],
    {
      file: 'packages/enforcement/src/limit.ts',
      from: 'if (quotas.length === 0) return { authorized } as Admitted<Detail>',
      to: 'if (quotas.length >= 0) return { authorized } as Admitted<Detail>',
    },
  ),
  control('limits.quotas.concurrent_per_user', ['limits-calls', underWay], {
    file: 'packages/enforcement/src/limit.ts',
    from: 'if (places.under(key) < concurrent) continue',
    to: 'if (places.under(key) >= 0) continue',
  }),
  control('limits.quotas.released', ['limits-calls', underWay], {
    file: 'packages/server/src/transports/streamable-http-reply.ts',
    from: 'this.#options.hold?.release()',
    to: 'void this.#options.hold',
  }),
  control('limits.quotas.workloads', ['limits-calls', ofTool], {
    file: 'packages/server/src/config/quotas.ts',
    from: '(patterns === undefined || patterns.some((pattern) => matchesSpiffeId(pattern, caller)))',
    to: '(patterns === undefined || caller !== null)',
  }),
  control(
    'limits.quotas.bytes_per_user',
    [
      'limits-calls',
      'limits.quotas: bytes of requests and answers count; whoever owes is refused until they have come back',
    ],
    {
      file: 'packages/enforcement/src/call-hold.ts',
      from: 'this.#uncounted += bytes',
      to: 'this.#uncounted += bytes === 0 ? 1 : 0',
    },
  ),
  control(
    'limits.quotas.bytes_per_user.stream',
    ['limits-calls', 'limits.quotas: an answer that goes on beyond the bytes of its caller ends'],
    { file: 'packages/enforcement/src/call-hold.ts', from: '    listener?.()', to: '    void listener' },
  ),
  control(
    'limits.streams_per_user',
    [
      'limits-calls',
      'limits.streams_per_user: a caller has so many streams open, whatever its sessions; one that closes makes room',
    ],
    {
      file: 'packages/server/src/config/quotas.ts',
      from: "(STREAMS.has(name) || (name === 'GET' && kind === 'server'))",
      to: "name === 'subscriptions/listen' && kind === 'server'",
    },
  ),
  control('limits.fields', ['limits-calls', ofTool], {
    file: 'packages/enforcement/src/wire/denial-response.ts',
    from: '...(denial.limit === null ? {} : rateLimitFields(denial.limit, denial.retryAfterSeconds)),',
    to: '...(denial.limit === null ? {} : {}),',
  }),
  control('proxies.named', ['proxy-protocol', 'nobody else is believed'], {
    file: 'packages/server/src/config/settings.ts',
    from: 'networks.some((network) => network.contains(address))\n}',
    to: 'networks.some((network) => network.contains(address) || network.prefix > 8)\n}',
  }),
  control(
    'proxies.configured',
    [
      'limits-rates',
      'listeners.proxies: a connection of a named address is from whom its header says, and without one it is closed',
    ],
    {
      file: 'packages/server/src/apps/gateway-listeners.ts',
      from: '...(proxies === undefined ? {} : { isProxy: proxies[name] }),',
      to: '...(proxies === undefined ? {} : {}),',
    },
  ),
  control(
    'proxies.authority',
    [
      'limits-rates',
      'authority.listeners.proxies: at each listener a named address says whom a connection is from, and nobody else does',
    ],
    {
      file: 'packages/server/src/apps/authority-listeners.ts',
      from: '...(proxies === undefined ? {} : { isProxy: proxies[name] }),',
      to: '...(proxies === undefined ? {} : {}),',
    },
  ),
  control('proxies.required', ['proxy-protocol', 'a named address without a right header is closed'], {
    file: 'packages/enforcement/src/wire/proxy-header.ts',
    from: "return problem('no PROXY header of version 2')",
    to: "return { kind: 'header', address: null, length: 0 }",
  }),
  control(
    'proxies.address',
    ['proxy-protocol', 'the address of the header is that of the connection: in the record, and for the limits'],
    {
      file: 'packages/enforcement/src/wire/arrivals.ts',
      from: 'this.#admit(socket, header.address ?? proxy)',
      to: 'this.#admit(socket, proxy)',
    },
  ),
  control('load.connections', ['limits-load', ofLoop], {
    file: 'packages/enforcement/src/wire/connection-gate.ts',
    from: 'if (shed !== null) return shed',
    to: 'void shed',
  }),
  control('load.strangers', ['limits-load', ofLoop], {
    file: 'packages/enforcement/src/limit.ts',
    from: 'if (limits.load?.shedsRequest(inbound) === true)',
    to: 'if (limits.load?.shedsRequest(inbound) === null)',
  }),
  control('load.known', ['limits-load', ofLoop], {
    file: 'packages/enforcement/src/load-shedding.ts',
    from: '!connection.standing.identified &&',
    to: 'connection.standing !== null &&',
  }),
  control(
    'load.idlest',
    [
      'limits-load',
      'a listener that is full closes the connection that has been idle for longest, and none with a request',
    ],
    {
      file: 'packages/enforcement/src/wire/listener.ts',
      from: 'if (this.#connections.size > this.#options.limits.connections) this.#shedIdlest()',
      to: 'void this.#shedIdlest',
    },
  ),
  control(
    'pace.bodies',
    ['limits-pace', 'a body that comes slower than a kilobyte in a second is refused, however steadily it comes'],
    {
      file: 'packages/enforcement/src/wire/listener.ts',
      from: 'this.#bodies.look()',
      to: 'void this.#bodies',
    },
  ),
  control('pace.crumbs', ['limits-pace', 'a body in crumbs is refused early, and a fair one in many pieces passes'], {
    file: 'packages/enforcement/src/wire/body-reader.ts',
    from: 'if (this.#count - FREE_PIECES > this.#size / PIECE_BYTES) return false',
    to: 'if (this.#count - FREE_PIECES > this.#size * PIECE_BYTES) return false',
  }),
  control(
    'pace.readers',
    ['limits-pace', 'a peer has ten seconds to take something, and must take a kilobyte for each'],
    {
      file: 'packages/enforcement/src/wire/connection-pace.ts',
      from: "return 'reader_slow'",
      to: 'return null',
    },
  ),
  control(
    'pace.records',
    [
      'limits-pace',
      'a flood of key updates, which no request shows, ends the connection before it has cost a second of a core',
    ],
    {
      file: 'packages/enforcement/src/wire/arrivals.ts',
      from: 'return below instanceof Socket ? below.bytesRead : 0',
      to: 'return below instanceof Socket ? 0 : 0',
    },
  ),
  control(
    'limits.sessions_per_user',
    ['limits-rates', 'limits.sessions_per_user: a caller whose sessions are all in use opens no other'],
    {
      file: 'packages/enforcement/src/mcp/session.ts',
      from: 'if (mine.size >= limits.perOwner && !this.#endIdlest(mine)) return null',
      to: 'if (mine.size >= limits.total && !this.#endIdlest(mine)) return null',
    },
  ),
]
