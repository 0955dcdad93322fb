/** The gateway itself, as the command line composes it, with one server in our own trust domain behind it. */

import { join } from 'node:path'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { loadConfiguration } from '../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../packages/server/src/config/settings.ts'
import { startGateway } from '../../packages/server/src/apps/gateway.ts'
import { gatewaySettings } from '../../packages/server/src/cli/gateway.ts'
import { started, tell } from './child.ts'

const start = await started('gateway')
const deployment = deploymentOf(await loadConfiguration(start.configFile))
const environment = readEnvironment(process.env)
const keyDir = join(start.folder, 'keys')
const folder = { dir: deployment.stateDir, stateId: 'bench', keyDir, created: false }
const settings = await gatewaySettings(deployment, folder, environment)
const effects = { read: ['*'], write: [], admin: [] }
const stdioServer = {
  kind: 'stdio',
  command: [process.execPath, join(import.meta.dirname, 'stdio-server.ts')],
  cwd: import.meta.dirname,
  env: {},
  effects,
} as const
const anyPort = { host: '127.0.0.1', port: 0 }
const running = await startGateway(
  {
    ...settings,
    name: start.name,
    stateDir: join(start.folder, 'gateway'),
    keyDir,
    checkpointDir: keyDir,
    listeners: { main: anyPort, admin: anyPort, public: anyPort },
    servers: {
      bench: {
        kind: 'http',
        url: `https://127.0.0.1:${start.upstreamPort}/mcp`,
        insecureUpstream: false,
        identity: start.upstreamId,
        effects,
      },
      stdio: stdioServer,
    },
  },
  {
    signal: new AbortController().signal,
    report: (event) => process.stderr.write(`${JSON.stringify(event)}\n`),
    joinString: async () => start.joinString,
  },
)
tell({ port: running.addresses.main.port })
