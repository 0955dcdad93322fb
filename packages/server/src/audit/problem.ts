/** What the verifier finds wrong with a log. */

/**
 * Something that is not as it should be. Codes: `checkpoint_missing`, `checkpoint_untrusted`, `record_rollback`,
 * `record_forked`, `record_corrupt`, `record_gap`, `record_foreign`, `entry_malformed`, `time_decreased`,
 * `tile_missing`, `tile_malformed`, `tile_differs`, `record_expiry_unproven`, `payload_absent` (gone, and no entry says why).
 */
export interface Problem {
  readonly code: string
  /** File, with `:offset` where a byte can be named. */
  readonly where: string
  readonly message: string
}
