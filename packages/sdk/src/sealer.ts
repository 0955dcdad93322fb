/** How an identity's private keys are kept confidential at rest: a port, served by whoever holds the key-encryption key. */

export interface Sealer {
  /**
   * Encrypts and authenticates `bytes` together with `context`, a text that names what they are. Sealed bytes open
   * only under the same context, so one sealed file cannot stand in for another.
   */
  seal(bytes: Uint8Array, context: string): Promise<Uint8Array>
  /** The sealed bytes again. Safe for concurrent use, as `seal` is. Rejects when they, the context or the key are not those of `seal`. */
  open(sealed: Uint8Array, context: string): Promise<Uint8Array>
}
