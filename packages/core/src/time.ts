/** Points in time as nominal numbers, so that seconds and milliseconds cannot be mixed. */

declare const seconds: unique symbol
declare const millis: unique symbol

/** Seconds since 1970-01-01T00:00:00Z, whole (RFC 7519 NumericDate without fraction). */
export type EpochSeconds = number & { readonly [seconds]: true }
/** Milliseconds since 1970-01-01T00:00:00Z, whole. */
export type EpochMillis = number & { readonly [millis]: true }

/** Reads the time. Only composition roots build one. */
export type Clock = () => EpochMillis

export function epochSeconds(value: number): EpochSeconds {
  return Math.trunc(value) as EpochSeconds
}

export function epochMillis(value: number): EpochMillis {
  return Math.trunc(value) as EpochMillis
}

export function toSeconds(time: EpochMillis): EpochSeconds {
  return Math.floor(time / 1000) as EpochSeconds
}

export function toMillis(time: EpochSeconds): EpochMillis {
  return (time * 1000) as EpochMillis
}
