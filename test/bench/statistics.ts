/** From samples to the numbers that are shown. */

/** The value below which that share of the samples lies; NaN without samples. `sorted` ascending. */
export function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** What one variant did in one round. */
export interface RoundSample {
  readonly calls: number
  readonly milliseconds: number
  /** CPU time of the process under test. */
  readonly cpuMicroseconds: number
  readonly latencies: Float64Array
}

/** All rounds of one variant together. */
export interface Measured {
  readonly calls: number
  readonly callsPerSecond: number
  readonly p50Microseconds: number
  readonly p99Microseconds: number
  /** Of the process under test; null where the system does not tell. */
  readonly cpuMicrosecondsPerCall: number | null
  /** The same for each round, in order: how much the machine disturbed. */
  readonly cpuOfRounds: readonly number[]
}

export function summed(samples: readonly RoundSample[], cpuIsKnown: boolean): Measured {
  const total = (of: (sample: RoundSample) => number) => samples.reduce((sum, sample) => sum + of(sample), 0)
  const calls = total((sample) => sample.calls)
  const latencies = new Float64Array(calls)
  let at = 0
  for (const sample of samples) {
    latencies.set(sample.latencies, at)
    at += sample.latencies.length
  }
  latencies.sort()
  return {
    calls,
    callsPerSecond: (calls / total((sample) => sample.milliseconds)) * 1000,
    p50Microseconds: quantile(latencies, 0.5),
    p99Microseconds: quantile(latencies, 0.99),
    cpuMicrosecondsPerCall: cpuIsKnown ? total((sample) => sample.cpuMicroseconds) / calls : null,
    cpuOfRounds: cpuIsKnown ? samples.map((sample) => sample.cpuMicroseconds / sample.calls) : [],
  }
}
