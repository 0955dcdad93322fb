/** Everything that the report measures, running: a process for each step, and the proxies beside them. */

import { dirname, join } from 'node:path'
import { repositoryRoot } from '../../../scripts/source-files.ts'
import { freePorts, TestDeployment } from '../../fixtures/deployment.ts'
import { startProcess } from '../child.ts'
import type { BenchProcess } from '../child.ts'
import { callPath, gateControls, stdioPath } from '../messages.ts'
import type { Pem, Start } from '../messages.ts'
import { startNginx } from '../nginx.ts'
import { installOthers, othersInstalled } from '../others.ts'
import {
  behindTls,
  benchYaml,
  gatewayStart,
  openHaproxy,
  openOthers,
  pemOf,
  placeOf,
  registerGateway,
  writeProxyFiles,
} from '../system.ts'
import type { BenchSystem, ProxyFiles, Variant } from '../system.ts'
import { checkSteps } from './checks.ts'
import type { StepPlace } from './checks.ts'

export interface ReportStage extends Pick<BenchSystem, 'load' | 'token' | 'variants'> {
  /** Why something is not here. */
  readonly missing: readonly string[]
}

export interface StageOptions {
  /** Installs what is measured beside us within so many milliseconds; 0 for not at all. */
  readonly installMilliseconds: number
  readonly say: (what: string) => void
}

/** A quota as the operator sets one, so that the limits count a call as they do in a deployment. */
const yaml = `${benchYaml}  quotas:
    - { action: "tools/call", per_user: 10000000/min }
`

/** What was started is given to `stack`. Throws when a step does not refuse what it has to. */
export async function openStage(stack: AsyncDisposableStack, options: StageOptions): Promise<ReportStage> {
  options.say('starting the authority')
  // A dozen processes strip and compile the same sources.
  process.env['NODE_COMPILE_CACHE'] ??= join(repositoryRoot, 'out', 'compile-cache')
  const { NODE_COMPILE_CACHE } = process.env
  const deployment = await TestDeployment.start({ yaml, env: { NODE_COMPILE_CACHE } })
  stack.defer(() => deployment.remove())
  const identities = {
    caller: await deployment.identity('agent/bench', ['caller']),
    stranger: await deployment.identity('agent/stranger'),
    server: await deployment.identity('server/bench'),
    proxy: await deployment.identity('proxy/bench'),
  }
  stack.defer(() => Object.values(identities).forEach((identity) => identity.close()))
  const { caller } = identities
  const start = async (what: Start, logFile?: string): Promise<BenchProcess> => {
    options.say(`starting ${what.process === 'gate' ? what.upTo : what.process}`)
    const process = await startProcess(what, logFile === undefined ? {} : { logFile })
    stack.defer(() => process.close())
    return process
  }
  const upstream = await start({ process: 'upstream', pem: pemOf(identities.server) })
  const behind = { pem: pemOf(identities.proxy), upstreamPort: upstream.port }
  const { main } = (await deployment.deployment()).gateway.listeners
  const audienceOf = (path: string) => `https://127.0.0.1:${main.port}${path}`
  const audience = audienceOf(callPath)
  const steps = await startSteps(deployment, { ...behind, audience, start })
  options.say('looking whether each step refuses what it has to')
  await checkSteps(steps, { ...identities, audience })
  const files = await writeProxyFiles(deployment.folder, behind.pem, behind.upstreamPort)
  const beside = await openProxies(files, options, stack)
  const gateway = steps.filter(({ name }) => name === 'full')
  return {
    load: await start({ process: 'load', pem: pemOf(caller) }),
    token: async (path) => (await caller.token(audienceOf(path))).reveal(),
    missing: beside.missing,
    variants: [
      { name: 'direct', ...placeOf(upstream) },
      ...steps,
      ...beside.variants,
      ...gateway.map((place) => ({ ...place, name: 'stdio' as const, path: stdioPath })),
      ...beside.stdio,
    ],
  }
}

interface StepParts {
  readonly pem: Pem
  readonly upstreamPort: number
  readonly audience: string
  readonly start: (what: Start, logFile?: string) => Promise<BenchProcess>
}

async function startSteps(deployment: TestDeployment, parts: StepParts): Promise<readonly StepPlace[]> {
  const { pem, upstreamPort, audience, start } = parts
  const forwarding = { process: 'forwarding', pem, upstreamPort } as const
  const steps: StepPlace[] = [
    { name: 'tls', ...placeOf(await start({ ...forwarding, callers: 'none' })) },
    { name: 'blind', ...placeOf(await start(forwarding)) },
  ]
  for (const upTo of gateControls) {
    const place = await registerGateway(deployment, `step-${upTo}`)
    const { folder } = place
    const running = await start({ process: 'gate', upTo, upstreamPort, audience, ...place })
    steps.push({ name: upTo, folder, ...placeOf(running) })
  }
  const log = join(deployment.folder, 'bench-gateway.log')
  return [...steps, { name: 'full', ...placeOf(await start(await gatewayStart(deployment, upstreamPort), log)) }]
}

interface Beside {
  readonly variants: readonly Variant[]
  readonly stdio: readonly Variant[]
  readonly missing: readonly string[]
}

/** Not measured where they are not, and never made up. */
async function openProxies(
  files: ProxyFiles,
  { installMilliseconds, say }: StageOptions,
  stack: AsyncDisposableStack,
): Promise<Beside> {
  const missing: string[] = []
  const variants: Variant[] = []
  say('starting the proxies')
  const haproxy = await openHaproxy(files)
  if (haproxy === null) missing.push('HAProxy: it is not installed')
  else {
    stack.defer(() => haproxy.close())
    variants.push({ name: 'haproxy', ...behindTls(haproxy) })
  }
  const [port = 0] = await freePorts(1)
  const nginx = await startNginx(join(dirname(files.serverPem), 'nginx'), { ...files, port })
  if (nginx === null) missing.push('nginx: it is not installed')
  else {
    stack.defer(() => nginx.close())
    variants.push({ name: 'nginx', ...behindTls({ port, pid: nginx.pid }) })
  }
  say('installing mcp-proxy and supergateway')
  const installed = othersInstalled() || (installMilliseconds > 0 && (await installOthers(installMilliseconds)))
  if (installed) return { variants, stdio: await openOthers(stack), missing }
  const why = installMilliseconds > 0 ? 'the registry of npm did not answer' : 'a quick run installs nothing'
  return { variants, stdio: [], missing: [...missing, `mcp-proxy and supergateway: ${why}`] }
}
