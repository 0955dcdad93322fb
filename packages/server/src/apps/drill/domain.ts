/** The trust domain of a drill while it runs: authorities and gateways as real processes, and an operator. */

import { randomBytes as nodeRandom } from 'node:crypto'
import { join } from 'node:path'
import { DoorwardError, Secret, workloadId } from '@doorward/core'
import { AdminClient, aesGcmSealer, join as joinAuthority, openIdentity, randomBytes, timerSleep } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { ProbeTarget } from '../denied-keys.ts'
import { fileRootSigner, signedBy } from '../root-signer.ts'
import type { RootSigner } from '../root-signer.ts'
import { Child } from '../supervision.ts'
import type { ChildMessage } from '../supervision.ts'
import type { CrowdGateway } from './crowd-messages.ts'
import { drillDomain, echoAudience, gatewayUrl } from './plan.ts'
import type { DrillPlan, PlannedPart } from './plan.ts'

export interface DrillDomain {
  readonly plan: DrillPlan
  readonly operator: Identity
  readonly admin: AdminClient
  readonly signer: RootSigner
  readonly gateways: readonly CrowdGateway[]
  /** Every listener that asks for a certificate. */
  readonly targets: readonly ProbeTarget[]
  /** A part dies as if its machine had. */
  kill(name: string): void
  stop(): Promise<void>
}

export interface DomainOptions {
  readonly plan: DrillPlan
  /** Node.js binary and arguments that run this program. */
  readonly program: readonly string[]
  /** Environment of each process. */
  readonly environment: Readonly<Record<string, string>>
  readonly onStarted: (what: string) => void
}

export const operatorId = workloadId(drillDomain, 'doorward', 'operator', 'drill').uri
const authorityId = workloadId(drillDomain, 'doorward', 'authority')
const JOIN_MILLISECONDS = 15_000
const ADMIT_MILLISECONDS = 30_000
const lookMilliseconds = 200

interface Pending {
  readonly resolve: (text: string) => void
  readonly reject: (error: Error) => void
}

/** The processes, and what they ask of their supervisor. */
class Parts {
  readonly #options: DomainOptions
  readonly children = new Map<string, Child>()
  readonly #joins = new Map<number, Pending>()
  #next = 1

  constructor(options: DomainOptions) {
    this.#options = options
  }

  launch(part: PlannedPart): Child {
    const { program, environment } = this.#options
    const child = new Child({
      name: `${part.kind} ${part.name}`,
      command: [...program, part.kind, 'run', '--config', part.configFile],
      env: { ...environment, HOME: part.folder, XDG_CONFIG_HOME: join(part.folder, 'config') },
      logFile: join(part.folder, 'log'),
      onMessage: (message, from) => this.#onMessage(part, message, from),
      onExit: () => undefined,
    })
    this.children.set(part.name, child)
    return child
  }

  /** Asks the first authority, which runs in our name. */
  invite(id: string, roles: readonly string[]): Promise<string> {
    const first = this.#options.plan.authorities[0]
    const child = first === undefined ? undefined : this.children.get(first.name)
    const request = this.#next++
    return new Promise((resolve, reject) => {
      const fail = () => reject(new DoorwardError('join_string_refused', 'the authority did not answer', { where: id }))
      const timer = setTimeout(fail, JOIN_MILLISECONDS)
      const settle = (how: () => void) => {
        clearTimeout(timer)
        this.#joins.delete(request)
        how()
      }
      this.#joins.set(request, {
        resolve: (text) => settle(() => resolve(text)),
        reject: (error) => settle(() => reject(error)),
      })
      child?.send({ type: 'join-request', request, id, roles: [...roles] })
    })
  }

  async stop(): Promise<void> {
    await Promise.all([...this.children.values()].map((child) => child.stop()))
  }

  #onMessage(part: PlannedPart, message: ChildMessage, from: Child): void {
    if (message.type === 'join-string') this.#joins.get(message.request)?.resolve(message.text)
    if (message.type === 'join-failed') this.#joins.get(message.request)?.reject(new Error(message.message))
    if (message.type !== 'join-wanted') return
    const { uri } = workloadId(drillDomain, 'doorward', 'gateway', part.name)
    void this.invite(uri, ['gateway']).then(
      (text) => from.send({ type: 'join-string', text }),
      () => undefined,
    )
  }
}

/** Starts everything; on failure nothing is left running. Throws what the parts throw. */
export async function startDomain(options: DomainOptions): Promise<DrillDomain> {
  const parts = new Parts(options)
  try {
    return await assemble(options, parts)
  } catch (error) {
    await parts.stop()
    throw error
  }
}

async function assemble(options: DomainOptions, parts: Parts): Promise<DrillDomain> {
  const { plan, onStarted } = options
  const [first, ...others] = plan.authorities
  if (first === undefined) throw new DoorwardError('drill_size', 'a drill needs an authority')
  await parts.launch(first).ready()
  onStarted(`authority ${first.name}`)
  const { operator, admin } = await operatorOf(plan, first, parts)
  const signer = await fileRootSigner(join(first.keyDir, 'recovery-root.pem'))
  for (const part of others) {
    const child = parts.launch(part)
    await admitAuthority({ operator, admin, signer }, part)
    await child.ready()
    onStarted(`authority ${part.name}`)
  }
  for (const part of plan.gateways) {
    await parts.launch(part).ready()
    onStarted(`gateway ${part.name}`)
  }
  return {
    plan,
    operator,
    admin,
    signer,
    gateways: plan.gateways.map(({ name, ports }) => ({
      url: `https://127.0.0.1:${ports.main}/mcp/echo`,
      audience: echoAudience,
      id: workloadId(drillDomain, 'doorward', 'gateway', name).uri,
    })),
    targets: targetsOf(plan),
    kill: (name) => void process.kill(parts.children.get(name)?.pid ?? 0, 'SIGKILL'),
    stop: async () => {
      operator.close()
      await parts.stop()
    },
  }
}

async function operatorOf(
  plan: DrillPlan,
  first: PlannedPart,
  parts: Parts,
): Promise<{ readonly operator: Identity; readonly admin: AdminClient }> {
  const folder = join(plan.root, 'operator')
  const sealer = aesGcmSealer(new Secret(new Uint8Array(nodeRandom(32))), randomBytes)
  const joinString = await parts.invite(operatorId, ['admin'])
  await joinAuthority({ joinString, folder, sealer, authorityUrl: plan.authorityUrl })
  const operator = await openIdentity({ folder, sealer })
  await operator.prepare()
  const url = `https://127.0.0.1:${first.ports.admin}`
  return { operator, admin: new AdminClient(operator, { url, audience: plan.authorityUrl, expectedId: authorityId }) }
}

/** A further authority waits until the root has named its key. Throws `drill_admission`. */
async function admitAuthority(
  { operator, admin, signer }: Pick<DrillDomain, 'operator' | 'admin' | 'signer'>,
  { name }: PlannedPart,
): Promise<void> {
  for (let waited = 0; waited < ADMIT_MILLISECONDS; waited += lookMilliseconds) {
    const { statement, authorities } = await admin.wantedDelegation()
    if (authorities.some((one) => one.name === name && one.live))
      return admin.delegate(await signedBy(signer, statement, operator))
    await timerSleep(lookMilliseconds)
  }
  throw new DoorwardError('drill_admission', 'a further authority did not ask to be named', { where: name })
}

function targetsOf({ authorities, gateways, authorityUrl }: DrillPlan): readonly ProbeTarget[] {
  const issuer = new URL(authorityUrl).host
  const gatewayHost = new URL(gatewayUrl).host
  const place = (port: number) => ({ host: '127.0.0.1', port })
  return [
    ...authorities.flatMap(({ name, ports }): readonly ProbeTarget[] => [
      target(`authority ${name} main`, place(ports.main), issuer, 'POST', '/v1/renew', authorityUrl),
      target(
        `authority ${name} admin`,
        place(ports.admin),
        `127.0.0.1:${ports.admin}`,
        'GET',
        '/v1/status',
        authorityUrl,
      ),
    ]),
    ...gateways.flatMap(({ name, ports }): readonly ProbeTarget[] => [
      target(`gateway ${name} main`, place(ports.main), gatewayHost, 'POST', '/mcp/echo', echoAudience),
      target(
        `gateway ${name} admin`,
        place(ports.admin),
        `127.0.0.1:${ports.admin}`,
        'GET',
        '/v1/status',
        `${gatewayUrl}/admin`,
      ),
    ]),
  ]
}

function target(
  ...[listener, place, host, method, path, audience]: readonly [
    string,
    ProbeTarget['place'],
    string,
    ProbeTarget['method'],
    string,
    string,
  ]
): ProbeTarget {
  return { listener, place, host, method, path, audience }
}
