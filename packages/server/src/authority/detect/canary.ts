/** DT-5: identities that nobody is meant to have. Whoever gets a certificate for one, or uses it, has no business here. */

import type { AuthorityContext } from '../context.ts'
import { raiseDetection } from '../detection.ts'
import type { Registration } from '../ports.ts'

/** Before anything is signed, so that what is issued to a canary is an alarm for certain. Throws as `raiseDetection`. */
export async function reportCanaryIssued(
  context: AuthorityContext,
  { id, canary }: Pick<Registration, 'id' | 'canary'>,
  occasion: string,
): Promise<void> {
  if (!canary) return
  await raiseDetection(context, {
    detector: 'DT-5',
    subject: id,
    detail: `a certificate for a canary identity is about to be issued (${occasion}): somebody has what proves it`,
  })
}

/** Throws as `raiseDetection`. */
export async function reportCanaryUsed(context: AuthorityContext, id: string, how: string): Promise<void> {
  const detail = `a canary identity was used: ${how}`
  await raiseDetection(context, { detector: 'DT-5', subject: id, detail })
}

/** The canaries among all identities, as they were last looked up. */
export class Canaries {
  readonly #context: AuthorityContext
  #ids: ReadonlySet<string> = new Set()

  constructor(context: AuthorityContext) {
    this.#context = context
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  async refresh(): Promise<void> {
    this.#ids = new Set(await this.#context.store.registrations.canaries())
  }
}
