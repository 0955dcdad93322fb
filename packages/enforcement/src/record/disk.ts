/** What the record asks of a disk. */

/** A file that only grows. After any rejection it must not be used again except to close it. */
export interface AppendFile {
  /** Appends all bytes; they may be on stable storage before `sync`. */
  write(bytes: Uint8Array): Promise<void>
  /** Resolves once everything written is on stable storage (fdatasync). */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface FileContent {
  readonly path: string
  readonly bytes: Uint8Array
}

/**
 * What a crash of the machine may do to files that were replaced (a crash of the process never tears one):
 * `durable`: nothing; `whole`: bring an older content back; `derivable`: anything, they can be derived again.
 */
export type Durability = 'durable' | 'whole' | 'derivable'

/** Writes of the record. A rejection means that nothing may be assumed about what reached the disk. */
export interface RecordDisk {
  /** Opens an existing file; writing starts at `position`. */
  openAppend(path: string, position: number): Promise<AppendFile>
  /** Creates or replaces files with their folders. */
  replace(files: readonly FileContent[], durability: Durability): Promise<void>
  /** Cuts a file, durably, through a descriptor of its own. */
  truncate(path: string, bytes: number): Promise<void>
  /** Replaces bytes inside a file, durably, through a descriptor of its own. A crash may leave some of them replaced. */
  overwrite(path: string, position: number, bytes: Uint8Array): Promise<void>
  /** Removes files, durably and in this order; missing ones are fine. */
  remove(paths: readonly string[]): Promise<void>
  /** Removes a folder with its files; missing is fine. Need not be durable. */
  removeFolder(path: string): Promise<void>
}
