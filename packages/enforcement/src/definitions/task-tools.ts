/** Which tool a task was begun with: its result has the structure of that tool, and says nothing of it. */

/** Tasks of one server that are remembered; the oldest is forgotten first. */
const MOST = 4096
/** UTF-16 units of an id, and of an owner's name. */
const LONGEST = 1024

export class TaskTools {
  readonly #tools = new Map<string, string>()

  /** The server has begun a task for its caller. What has too long a name is not remembered. */
  begun(owner: string, taskId: string, tool: string): void {
    if (taskId.length > LONGEST || owner.length > LONGEST) return
    const key = keyOf(owner, taskId)
    this.#tools.delete(key)
    this.#tools.set(key, tool)
    const [oldest] = this.#tools.keys()
    if (this.#tools.size > MOST && oldest !== undefined) this.#tools.delete(oldest)
  }

  /** Null where that is not known. */
  toolOf(owner: string, taskId: string): string | null {
    return this.#tools.get(keyOf(owner, taskId)) ?? null
  }
}

function keyOf(owner: string, taskId: string): string {
  return JSON.stringify([owner, taskId])
}
