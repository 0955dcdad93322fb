/**
 * `up`: an authority and a gateway as two processes of one machine, joined over the same mTLS link that two machines
 * would use. The supervisor holds no key; it introduces the two and restarts what dies.
 */

import { join } from 'node:path'
import { DoorwardError, Secret } from '@doorward/core'
import type { Deployment } from '../config/settings.ts'
import { Child } from './supervision.ts'
import type { ChildMessage } from './supervision.ts'

export interface UpOptions {
  readonly deployment: Deployment
  readonly stateDir: string
  /** Node.js binary and arguments that run this program; a command's words are appended. */
  readonly program: readonly string[]
  /** Environment of each process: the authority gets no secret that is meant for a server. */
  readonly environments: Readonly<Record<ChildName, Readonly<Record<string, string>>>>
  readonly report: (event: UpEvent) => void
}

export type UpEvent =
  | { readonly type: 'started'; readonly name: ChildName; readonly pid: number | undefined }
  | { readonly type: 'notice'; readonly name: ChildName; readonly text: string }
  | { readonly type: 'died'; readonly name: ChildName; readonly how: string; readonly restartInSeconds: number }
  | { readonly type: 'unstartable'; readonly name: ChildName; readonly error: unknown }

export type ChildName = 'authority' | 'gateway'

/** What each part said of itself when it was ready. */
export type Started = Readonly<Record<ChildName, Readonly<Record<string, unknown>>>>

const MAX_RESTART_SECONDS = 30
const JOIN_MILLISECONDS = 10_000

interface PendingJoin {
  readonly resolve: (text: Secret) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** The two processes, while they run. */
export class Supervisor {
  readonly #options: UpOptions
  readonly #children = new Map<ChildName, Child>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #joins = new Map<number, PendingJoin>()
  #nextRequest = 1
  #stopped = false

  constructor(options: UpOptions) {
    this.#options = options
  }

  /** Starts both and waits until both serve. Throws what the first failing one says, with neither left running. */
  async start(): Promise<Started> {
    try {
      const authority = await this.#launch('authority', 1).ready()
      const gateway = await this.#launch('gateway', 1).ready()
      return { authority, gateway }
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /**
   * Registers the workload with the roles unless it is registered, and returns a join string for it.
   * Throws `join_string_refused` when the authority does not give one in time.
   */
  joinString(id: string, roles: readonly string[]): Promise<Secret> {
    const authority = this.#children.get('authority')
    const request = this.#nextRequest++
    return new Promise((resolve, reject) => {
      const fail = (message: string) => reject(new DoorwardError('join_string_refused', message, { where: id }))
      if (authority === undefined) return fail('the authority is not running')
      const timer = setTimeout(() => {
        this.#joins.delete(request)
        fail('the authority did not answer')
      }, JOIN_MILLISECONDS)
      this.#joins.set(request, { resolve, reject: (error) => fail(error.message), timer })
      authority.send({ type: 'join-request', request, id, roles: [...roles] })
    })
  }

  /** Both read the policy anew, and tell what became of it. */
  reloadPolicy(): void {
    for (const child of this.#children.values()) child.send({ type: 'reload-policy' })
  }

  /** Ends both, gateway first, so that no call is cut from its authority. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const { timer, reject } of this.#joins.values()) {
      clearTimeout(timer)
      reject(new Error('stopping'))
    }
    this.#joins.clear()
    await this.#children.get('gateway')?.stop()
    await this.#children.get('authority')?.stop()
    this.#children.clear()
  }

  #launch(name: ChildName, attempt: number): Child {
    const { deployment, stateDir, program, environments, report } = this.#options
    const child = new Child({
      name,
      command: [...program, name, 'run', '--config', deployment.file],
      env: environments[name],
      logFile: join(stateDir, 'logs', `${name}.log`),
      onMessage: (message, from) => this.#onMessage(name, message, from),
      onExit: (how) => {
        if (how !== null) this.#onDeath(name, how, attempt)
      },
    })
    this.#children.set(name, child)
    void child.ready().then(
      () => report({ type: 'started', name, pid: child.pid }),
      (error: unknown) => attempt > 1 && report({ type: 'unstartable', name, error }),
    )
    return child
  }

  /** A first start that fails is told to the user; only what has served once is started again. */
  #onDeath(name: ChildName, how: string, attempt: number): void {
    const child = this.#children.get(name)
    if (this.#stopped || child === undefined) return
    void child.ready().then(
      () => this.#restart(name, how, 1),
      () => attempt > 1 && this.#restart(name, how, attempt),
    )
  }

  #restart(name: ChildName, how: string, attempt: number): void {
    if (this.#stopped) return
    const seconds = Math.min(MAX_RESTART_SECONDS, 2 ** (attempt - 1) / 2)
    this.#options.report({ type: 'died', name, how, restartInSeconds: seconds })
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#stopped) this.#launch(name, attempt + 1)
    }, seconds * 1000)
    this.#timers.add(timer)
  }

  #onMessage(name: ChildName, message: ChildMessage, from: Child): void {
    switch (message.type) {
      case 'notice':
        return this.#options.report({ type: 'notice', name, text: message.text })
      case 'join-wanted':
        return void this.#introduceGateway(from)
      case 'join-string':
        return this.#settle(message.request, (pending) => pending.resolve(new Secret(message.text)))
      case 'join-failed':
        return this.#settle(message.request, (pending) => pending.reject(new Error(message.message)))
      case 'ready':
      case 'failed':
        return undefined
    }
  }

  #settle(request: number, how: (pending: PendingJoin) => void): void {
    const pending = this.#joins.get(request)
    if (pending === undefined) return
    clearTimeout(pending.timer)
    this.#joins.delete(request)
    how(pending)
  }

  async #introduceGateway(gateway: Child): Promise<void> {
    try {
      const text = await this.joinString(this.#options.deployment.gateway.id.uri, ['gateway'])
      gateway.send({ type: 'join-string', text: text.reveal() })
    } catch (error) {
      this.#options.report({ type: 'unstartable', name: 'gateway', error })
    }
  }
}
