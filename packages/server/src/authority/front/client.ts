/** OAuth clients of the front, and where each may be answered. */

export interface FrontClient {
  readonly id: string
  /** For people and the record. */
  readonly name: string
  /** Who says so: our configuration, or the document at its id. */
  readonly from: 'configuration' | 'document'
  readonly redirectUris: readonly string[]
}

export interface FrontClients {
  /**
   * Null: unknown, or what its document says is not accepted; `busy`: too much is being fetched to look, for this network or in
   * all. Never throws for what a client is or says.
   */
  find(clientId: string, network: string): Promise<FrontClient | null | 'busy'>
}
