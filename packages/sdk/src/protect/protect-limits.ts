/** What limits a protected program, checked before anything is opened: a limit that is no number would limit nothing. */

import { DoorwardError } from '@doorward/core'
import type { CellRate } from '@doorward/core'
import { defaultListenerLimits } from '@doorward/enforcement'
import type { ListenerLimits, Rate } from '@doorward/enforcement'

/** A limit that is none would be no limit: whole numbers only. Throws `limit_invalid`. */
export function requireLimits(limits: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(limits))
    if (!Number.isSafeInteger(value) || Number(value) <= 0) throw limitInvalid(name, value, 'a whole number above 0')
}

/** Parts of requests and of seconds are as good; with 0 and NaN every request passes. Throws `limit_invalid`. */
export function requireRates(rates: Readonly<Record<string, CellRate | Rate>>): void {
  for (const [name, rate] of Object.entries(rates)) {
    const { count, periodSeconds, burst }: Partial<CellRate> = membersOf(name, rate)
    requireParts(name, { count, periodSeconds, ...(burst === undefined ? {} : { burst }) })
  }
}

/** What is not said is as by default. Throws `limit_invalid`. */
export function listenerLimitsOf(said: Partial<ListenerLimits> = {}): ListenerLimits {
  const entries = Object.entries(membersOf('listener', said)).filter(([, value]) => value !== undefined)
  const limits = { ...defaultListenerLimits, ...(Object.fromEntries(entries) as Partial<ListenerLimits>) }
  const { handshakes, body, pace, sheds: _, ofAddress: __, ...numbers } = limits
  requireRates({ 'listener.handshakes': handshakes })
  requireLimits(Object.fromEntries(Object.entries(numbers).map(([name, value]) => [`listener.${name}`, value])))
  if (body !== undefined) {
    const { bytesPerSecond, graceMilliseconds } = membersOf('listener.body', body)
    requireParts('listener.body', { bytesPerSecond, graceMilliseconds })
  }
  if (pace !== undefined) {
    const { stallMilliseconds, bytesPerSecond, overheadBytes } = membersOf('listener.pace', pace)
    requireParts('listener.pace', { stallMilliseconds, bytesPerSecond, overheadBytes })
  }
  return limits
}

/** Programs without types say anything. */
function membersOf<Members extends object>(name: string, said: Members): Members {
  if (typeof said !== 'object' || said === null) throw limitInvalid(name, said, 'an object')
  return said
}

function requireParts(name: string, parts: Readonly<Record<string, unknown>>): void {
  for (const [part, value] of Object.entries(parts))
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      throw limitInvalid(`${name}.${part}`, value, 'a number above 0')
}

function limitInvalid(name: string, got: unknown, expected: string): DoorwardError {
  return new DoorwardError('limit_invalid', 'a limit that limits nothing', {
    where: `limits.${name}`,
    expected,
    got: String(got).slice(0, 200),
  })
}
