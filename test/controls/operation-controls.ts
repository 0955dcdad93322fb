/** What a gateway does when it is reloaded or stopped, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const reload = 'test/scenarios/gateway-reload.test.ts'
const gone = 'a server that is taken away ends its sessions and streams with a reason, and nobody elses'
const drain = 'test/scenarios/gateway-drain.test.ts'
const stops = 'who stops is not ready at once, takes no connection, answers what is under way, and ends streams'
const legacy = 'test/refusals/legacy-sse.test.ts'
const change = 'packages/server/src/apps/gateway-change.ts'

export const operationControls: readonly Control[] = [
  {
    name: 'security.advisories',
    test: {
      file: 'test/architecture/security.test.ts',
      name: 'a dependency with a known hole is found, until an exception with reason and end says otherwise',
    },
    edits: [
      {
        file: 'scripts/security/advisories.ts',
        from: '.filter(({ name, version }) => name === advisory.package && inRange(version, advisory.vulnerable))',
        to: '.filter(() => false)',
      },
    ],
  },
  {
    name: 'reload.every_setting',
    test: { file: 'test/unit/server/config-reloading.test.ts', name: 'is taken up whole, however much of it there is' },
    edits: [
      {
        file: 'packages/server/src/config/reloading.ts',
        from: 'return changed.filter(isLive).map(dotted)',
        to: 'return changed.filter(isLive).slice(0, 50).map(dotted)',
      },
    ],
  },
  {
    name: 'reload.elsewhere',
    test: {
      file: 'test/unit/server/config-reloading.test.ts',
      name: 'what another process has not taken up is named by each reload until it says again what it said at the start',
    },
    edits: [
      {
        file: 'packages/server/src/cli/gateway-files.ts',
        from: 'changesElsewhere(this.#started, now)',
        to: 'changesElsewhere(held, now)',
      },
    ],
  },
  {
    name: 'reload.front_provider',
    test: {
      file: 'test/unit/server/config-reloading.test.ts',
      name: 'an authority the issuer that its front has people sign in at, and no other one',
    },
    edits: [
      {
        file: 'packages/server/src/config/reloading.ts',
        from: "(second === front.provider || second === '')",
        to: "second === ''",
      },
    ],
  },
  {
    name: 'legacy_sse.owner',
    test: { file: legacy, name: 'is of who has opened it: to everybody else its messages are those of no session' },
    edits: [
      {
        file: 'packages/server/src/transports/legacy-sse.ts',
        from: '|| !stream.isOf(exchange)',
        to: '|| (stream.over && !stream.isOf(exchange))',
      },
    ],
  },
  {
    name: 'legacy_sse.switch',
    test: {
      file: legacy,
      name: 'to a caller without a role, by another method, at another path, or where it is not switched on',
    },
    edits: [
      {
        file: 'packages/server/src/transports/legacy-sse.ts',
        from: 'server?.legacySse !== true',
        to: 'server === undefined',
      },
    ],
  },
  {
    name: 'drain.not_ready',
    test: { file: drain, name: stops },
    edits: [
      {
        file: 'packages/server/src/apps/gateway-status.ts',
        from: 'stopping: stopping.aborted',
        to: 'stopping: stopping.aborted && false',
      },
    ],
  },
  {
    name: 'drain.streams',
    test: { file: drain, name: stops },
    edits: [
      { file: 'packages/server/src/apps/gateway.ts', from: 'parts.endpoint.endStreams()', to: 'void parts.endpoint' },
    ],
  },
  {
    name: 'ready.needs_server',
    test: {
      file: drain,
      name: 'a gateway that needs a server is not ready while none is asked, and says why to operators alone',
    },
    edits: [
      {
        file: 'packages/server/src/apps/gateway-status.ts',
        from: "every(({ circuit }) => circuit.state(now) === 'open')",
        to: "every(({ circuit }) => circuit.inARow < 0 && circuit.state(now) === 'open')",
      },
    ],
  },
  {
    name: 'supervision.core',
    test: {
      file: 'test/scenarios/canary.test.ts',
      name: 'are in no core dump of ours: neither part may leave one',
    },
    edits: [
      {
        file: 'packages/server/src/apps/supervision.ts',
        from: "return process.platform === 'win32' ? command",
        to: "return process.platform !== 'win32' ? command",
      },
    ],
  },
  {
    name: 'reload.whole',
    test: {
      file: reload,
      name: 'what stands until the next start is named with its line, and then nothing of the rest counts either',
    },
    edits: [
      {
        file: 'packages/server/src/config/reloading.ts',
        from: 'if (fixed.length > 0)',
        to: 'if (fixed.length > 1000)',
      },
    ],
  },
  {
    name: 'reload.limits',
    test: { file: reload, name: 'limits count from one moment to the next, for sessions that are open' },
    edits: [
      {
        file: change,
        from: 'pipeline.retune({ perUser, connectionLimits, quotas, kept, edge: edge?.rules ?? null })',
        to: 'void [perUser, connectionLimits, quotas, kept]',
      },
    ],
  },
  {
    name: 'reload.ends-calls',
    test: { file: reload, name: gone },
    edits: [{ file: change, from: 'call.forbid(deny(', to: 'void (deny(' }],
  },
  {
    name: 'reload.record',
    test: {
      file: reload,
      name: '1,000 calls and a call that lasts go on over 20 reloads in which a server comes and goes, and none is lost',
    },
    edits: [
      {
        file: 'packages/server/src/apps/gateway-reload.ts',
        from: 'changed.length > 0 ? [entry',
        to: 'changed.length > 1000 ? [entry',
      },
    ],
  },
]
