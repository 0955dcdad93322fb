/** Stands in for `node:test`: tests are collected, to be run again and again. */

export interface Collected {
  readonly name: string
  readonly run: () => unknown
}

const place = globalThis as typeof globalThis & { collectedTests?: Collected[] }

export function test(name: string, run: () => unknown): void {
  place.collectedTests?.push({ name, run })
}

export const { it, describe } = { it: test, describe: (_name: string, run: () => unknown) => run() }
