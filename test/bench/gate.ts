/** The stages of the gateway's decision path, up to one of them: the same functions, the same trust, policy and record. */

import { join } from 'node:path'
import {
  authorize,
  classify,
  identify,
  isDenial,
  limit,
  limitArrival,
  record,
  recordOutcome,
} from '@doorward/enforcement'
import type { Admitted, Classifier, Denial, Identified, PipelineDependencies } from '@doorward/enforcement'
import { systemClock } from '@doorward/sdk'
import type { IdentityMaterial } from '@doorward/sdk'
import { openGatewayState } from '../../packages/server/src/apps/gateway-state.ts'
import { openPipeline } from '../../packages/server/src/apps/own-pipeline.ts'
import { gatewaySettings } from '../../packages/server/src/cli/gateway.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { loadConfiguration } from '../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../packages/server/src/config/settings.ts'
import { CedarEngine } from '../../packages/server/src/policy/cedar-engine.ts'
import { bodyBytes } from './forwarding.ts'
import type { Gate, Passed } from './forwarding.ts'
import { gateControls } from './messages.ts'
import type { GateControl, GatewayPlace } from './messages.ts'

export interface GateOptions extends GatewayPlace {
  readonly upTo: GateControl
  readonly audience: string
}

export interface OpenedGate {
  readonly gate: Gate
  readonly material: IdentityMaterial
}

/** Joins as a gateway and opens its record. What was opened is given to `stack`. */
export async function openGate(options: GateOptions, stack: AsyncDisposableStack): Promise<OpenedGate> {
  const { name, folder, configFile, joinString } = options
  const deployment = deploymentOf(await loadConfiguration(configFile))
  const keyDir = join(folder, 'keys')
  const home = { dir: deployment.stateDir, stateId: 'bench', keyDir, created: false }
  const configured = await gatewaySettings(deployment, home, readEnvironment(process.env))
  const settings = { ...configured, name, stateDir: join(folder, 'gateway'), keyDir, checkpointDir: keyDir }
  const problem = (error: unknown) => void process.stderr.write(`${String(error)}\n`)
  const state = await openGatewayState(
    settings,
    { clock: systemClock, joinString: async () => joinString, onProblem: problem, warn: problem },
    stack,
  )
  const { identity, record: log } = state
  await identity.prepare()
  void identity.run(new AbortController().signal)
  const decisions = new CedarEngine()
  await decisions.activate(settings.policy)
  const watch = { refused: () => undefined, identified: () => undefined }
  const { issuer, staleness, security } = settings
  const { trust } = identity
  const own = { issuer, staleness, security, trust, decisions, log, clock: systemClock, watch }
  const { dependencies } = openPipeline(own)
  return { gate: gateOf(options, dependencies), material: identity.material() }
}

/** The action that the gateway finds in the body stands here for the route: nothing is read of a call. */
const oneTool: Classifier<null> = () => ({
  action: { name: 'tools/call', group: 'read' },
  resource: { server: 'bench', kind: 'tool', name: 'echo' },
  args: undefined,
  rpcId: undefined,
  detail: null,
})

function gateOf({ upTo, audience }: GateOptions, dependencies: PipelineDependencies): Gate {
  const asked = new Set(gateControls.slice(0, gateControls.indexOf(upTo) + 1))
  return async (exchange) => {
    const { connection, head } = exchange
    if (exchange.problem !== null) return exchange.problem
    const inbound = { connection, head, audience }
    const { limiter, connectionLimits } = dependencies
    const over = asked.has('limits') ? await limitArrival(inbound, limiter, connectionLimits) : null
    if (over !== null) return over
    const identified = await identify(inbound, 'token', dependencies)
    if (isDenial(identified)) return identified
    const body = await exchange.readBody(bodyBytes)
    if (isDenial(body)) return body
    return asked.has('policy')
      ? decided({ identified, body }, asked, dependencies)
      : { body, answered: () => undefined }
  }
}

interface Request {
  readonly identified: Identified
  readonly body: Uint8Array
}

async function decided(
  { identified, body }: Request,
  asked: ReadonlySet<GateControl>,
  dependencies: PipelineDependencies,
): Promise<Passed | Denial> {
  const { decisions, trust } = dependencies
  const classified = classify(identified, body, oneTool)
  if (isDenial(classified)) return classified
  const authorized = await authorize(classified, decisions, trust.now())
  if (isDenial(authorized)) return authorized
  if (!asked.has('limits')) return { body, answered: () => undefined }
  const admitted = await limit(authorized, dependencies)
  if (isDenial(admitted)) return admitted
  return asked.has('record')
    ? recorded(admitted, body, dependencies)
    : { body, answered: () => admitted.hold?.release() }
}

async function recorded(
  admitted: Admitted<null>,
  body: Uint8Array,
  { log }: PipelineDependencies,
): Promise<Passed | Denial> {
  const began = performance.now()
  const permit = await record(admitted, log)
  if (isDenial(permit)) return permit
  const answered = (http: number, bytes: number) => {
    admitted.hold?.release()
    const milliseconds = performance.now() - began
    // As in the gateway nobody waits for it; a record that fails ends the process, and the measurement with it.
    void recordOutcome(permit.entry, { status: 'completed', http, bytes, milliseconds }, log)
  }
  return { body, answered }
}
