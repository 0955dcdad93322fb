/** A loop of a part that runs, which another one may replace. */

export type Loop = (signal: AbortSignal) => Promise<void>

export class ReplaceableLoop {
  readonly #running = new Set<Promise<void>>()
  #loop: Loop
  #ending = new AbortController()
  #state: 'new' | 'running' | 'ended' = 'new'

  constructor(loop: Loop) {
    this.#loop = loop
  }

  /** The loop before ends by itself, with what it does last. */
  replace(loop: Loop): void {
    this.#loop = loop
    if (this.#state !== 'running') return
    this.#ending.abort()
    this.#begin()
  }

  /** Resolves when the signal has aborted and every loop that ever ran has ended. Loops do not reject. */
  async run(signal: AbortSignal): Promise<void> {
    this.#state = 'running'
    this.#begin()
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    this.#state = 'ended'
    this.#ending.abort()
    await Promise.all(this.#running)
  }

  #begin(): void {
    this.#ending = new AbortController()
    const running = this.#loop(this.#ending.signal).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }
}
