/** Ids of a server's events that hold what its client must not see, by names of our own: whoever resumes gives them back. */

const PREFIX = 'dw-event-'
const MOST = 256
/** UTF-16 units of one id. */
const LONGEST = 1024

/** Of one session. */
export class EventNames {
  /** The server's ids by our names, the newest last. */
  readonly #ids = new Map<string, string>()
  #count = 0

  /** The name by which the client knows the id; null for an id that is too long to be kept. */
  nameOf(id: string): string | null {
    if (id.length > LONGEST) return null
    const name = `${PREFIX}${++this.#count}`
    this.#ids.set(name, id)
    const [oldest] = this.#ids.keys()
    if (this.#ids.size > MOST && oldest !== undefined) this.#ids.delete(oldest)
    return name
  }

  /** What the server calls the event that its client names: the id itself, unless the name is ours; null for one that is forgotten. */
  idOf(name: string): string | null {
    return isEventName(name) ? (this.#ids.get(name) ?? null) : name
  }
}

/** True for what looks like a name of ours. */
export function isEventName(id: string): boolean {
  return id.startsWith(PREFIX)
}
