/** What an operator has said of the places that a record is written to, as the record asks for it. */

import type { OpenRecordOptions } from '@doorward/enforcement'

export interface RecordPlaces {
  readonly secondSink?: string
  readonly reserveBytes?: number
}

export function recordPlaces({
  secondSink,
  reserveBytes,
}: RecordPlaces): Pick<OpenRecordOptions, 'secondSink' | 'limits'> {
  return {
    ...(secondSink === undefined ? {} : { secondSink }),
    ...(reserveBytes === undefined ? {} : { limits: { reserveBytes } }),
  }
}
