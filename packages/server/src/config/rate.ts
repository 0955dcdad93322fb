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

/** `<count>/<s|min|h>`, count 1 … 10,000,000; null when it is not one. */
export function readRate(text: string): Rate | null {
  const [count = '', unit = '', ...rest] = text.split('/')
  const periodSeconds = periods.get(unit)
  if (rest.length > 0 || periodSeconds === undefined || !/^[1-9][0-9]{0,7}$/.test(count)) return null
  return { count: Number(count), periodSeconds }
}
