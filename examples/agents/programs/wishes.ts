/** What callers ask for, and what the asked have answered. Whoever may call may still write anything: nothing is taken as it comes. */

export interface Wish {
  readonly item: string
}

export interface Order extends Wish {
  readonly count: number
}

const MOST_CHARACTERS = 100

/** Null for anything but a name. `.` and `..` would be other places in a path, however they are written. */
export function wishIn(body: string): Wish | null {
  const item = memberOf(body, 'item')
  const isName = typeof item === 'string' && item !== '' && item.length <= MOST_CHARACTERS && item.isWellFormed()
  return isName && item !== '.' && item !== '..' ? { item } : null
}

/** Null for anything but a name and how many there shall be: a whole number above 0. */
export function orderIn(body: string): Order | null {
  const [wish, count] = [wishIn(body), memberOf(body, 'count')]
  if (wish === null || typeof count !== 'number' || !Number.isSafeInteger(count) || count <= 0) return null
  return { ...wish, count }
}

/** For whoever asked us: what came of whom we have asked. Its own words stay here. */
export function failureOf(what: string, { status, headers }: Pick<Response, 'status' | 'headers'>): object {
  const code = headers.get('doorward-code')
  return { error: `${what} failed`, status, ...(code === null ? {} : { code }) }
}

function memberOf(body: string, name: string): unknown {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : null
  } catch {
    return null
  }
}
