/** The limits of `limits:`, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const settings = 'packages/server/src/config/settings.ts'
const gate = 'packages/server/src/transports/connection-gate.ts'
const asMany =
  'limits.connections_per_ip: an address has as many as it may, which go on when the next is refused; one that closes makes room'
const networks =
  'limits.networks: an address has the number of the narrowest named network, and the general one where that has none'

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
    file: 'packages/server/src/transports/listener.ts',
    from: "this.#refused(address, refusal, '')",
    to: 'void refusal',
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
      from: 'if (quota.action === call.action.name) {',
      to: "if (quota.action === '') {",
    },
  ),
  control(
    'limits.sessions_per_user',
    ['limits-rates', 'limits.sessions_per_user: a caller whose sessions are all in use opens no other'],
    {
      file: 'packages/server/src/transports/session.ts',
      from: 'if (mine.size >= limits.perOwner && !this.#endIdlest(mine)) return null',
      to: 'if (mine.size >= limits.total && !this.#endIdlest(mine)) return null',
    },
  ),
]
