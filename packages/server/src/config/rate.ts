/** Rates as ADR-0011 writes them: `10000/min`. */

export interface Rate {
  readonly count: number
  readonly periodSeconds: number
}

const periods: ReadonlyMap<string, number> = new Map([
  ['s', 1],
  ['sec', 1],
  ['min', 60],
  ['h', 3600],
  ['hour', 3600],
])

const COUNT = /^[1-9][0-9]{0,7}$/

/** `<count>/<s|min|h>`, count 1 … 99,999,999; null when it is not one. */
export function readRate(text: string, counted = COUNT): Rate | null {
  const [count = '', unit = '', ...rest] = text.split('/')
  const periodSeconds = periods.get(unit)
  if (rest.length > 0 || periodSeconds === undefined || !counted.test(count)) return null
  return { count: Number(count), periodSeconds }
}

/** As `readRate`, of bytes: 1024 … 999,999,999,999. */
export function readByteRate(text: string): Rate | null {
  const rate = readRate(text, /^[1-9][0-9]{3,11}$/)
  return rate === null || rate.count < 1024 ? null : rate
}
