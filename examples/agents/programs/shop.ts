/** What every program of the example is told: where it keeps what is its own, and where the others answer. */

import { join } from 'node:path'
import type { RecordPlace } from '@doorward/sdk'

export interface Shop {
  /** Here each program has a folder below it; in earnest each has a machine, or a user, of its own. */
  readonly home: string
  /** Origins at which the programs are called: audiences of their callers' tokens. */
  readonly planner: string
  readonly buyer: string
  readonly writer: string
  readonly stock: string
  /** The MCP server, as the gateway serves it. */
  readonly notes: string
  /** The provider at which people sign in. */
  readonly issuer: string
}

const variables = {
  home: 'SHOP_HOME',
  planner: 'PLANNER',
  buyer: 'BUYER',
  writer: 'WRITER',
  stock: 'STOCK',
  notes: 'NOTES',
  issuer: 'ISSUER',
}

/** For the environment of a program. Nothing of it is secret. */
export function toEnvironment(shop: Shop): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).map(([key, name]) => [name, shop[key as keyof Shop]]))
}

export function fromEnvironment(): Shop {
  return Object.fromEntries(Object.entries(variables).map(([key, name]) => [key, process.env[name] ?? ''])) as Record<
    keyof Shop,
    string
  >
}

export interface Place {
  readonly identity: { readonly folder: string; readonly key: string; readonly join: { readonly file: string } }
  readonly record: RecordPlace
}

/** `agent/planner`: identity and record in folders of its own, the key that opens the identity elsewhere, a join string. */
export function placeOf({ home }: Pick<Shop, 'home'>, path: string): Place {
  const name = path.replaceAll('/', '+')
  return {
    identity: {
      folder: join(home, name, 'identity'),
      key: join(home, 'keys', `${name}.key`),
      join: { file: join(home, 'joins', `${name}.join`) },
    },
    record: { folder: join(home, name, 'record'), checkpoints: join(home, 'checkpoints') },
  }
}

/** For a program that runs until it is told to stop. */
export async function untilStopped(running: AsyncDisposable): Promise<void> {
  await new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve)
  })
  await running[Symbol.asyncDispose]()
}
