/** What is found to be damaged. */

/**
 * - `segment_damaged`, `segment_missing`: bytes of the journal, or a whole file of it;
 * - `entry_changed`: a whole frame that is not the entry that was signed;
 * - `entry_malformed`: a whole frame whose payload is no entry;
 * - `payload_absent`: a payload is gone and no entry says why;
 * - `tile_damaged`, `tile_missing`: tiles and entry bundles;
 * - `checkpoint_damaged`, `checkpoint_missing`: the log's own, the second copy, or one that was cosigned;
 * - `record_forked`: what is there does not give the root that was signed, whatever is believed of it;
 * - `record_expiry_unproven`: the marker of expired entries, or the entry that it names;
 * - `index_damaged`: derived, and made anew by the next question.
 */
export type DamageCode =
  | 'segment_damaged'
  | 'segment_missing'
  | 'entry_changed'
  | 'entry_malformed'
  | 'payload_absent'
  | 'tile_damaged'
  | 'tile_missing'
  | 'checkpoint_damaged'
  | 'checkpoint_missing'
  | 'record_forked'
  | 'record_expiry_unproven'
  | 'index_damaged'

export interface Damage {
  readonly code: DamageCode
  readonly file: string
  /** Exclusive at its end; null for a file as a whole. */
  readonly bytes: { readonly from: number; readonly to: number } | null
  /** Which entries it is about; exclusive at its end. Null where it is about none. */
  readonly entries: { readonly first: number; readonly end: number } | null
  /**
   * `tree`: these entries are accounted for, by their leaves under a checkpoint; `leaves`: their hashes alone are, time and
   * digest are not; `lost`: they were written, and nothing knows them any more; `derived`: nothing is lost, it can be made
   * anew; null: it is no question of entries.
   */
  readonly kept: 'tree' | 'leaves' | 'lost' | 'derived' | null
  readonly message: string
}

/** More are counted, and not told one by one. */
export const MAX_DAMAGES = 1000
