/**
 * Whose a TCP socket of this machine is, as the kernel lists them (proc(5), `/proc/net/tcp`). It knows the user, not the process.
 * A socket that its owner has closed is listed as root's: only what somebody still holds counts.
 */

import { readFile } from 'node:fs/promises'

export interface TcpTable {
  /** `/proc/net/tcp` and `/proc/net/tcp6`, without a line for what is not there. */
  read(): Promise<string>
}

export const systemTcp: TcpTable = {
  read: async () => {
    const files = ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'latin1').catch(() => ''))
    return (await Promise.all(files)).join('\n')
  },
}

interface Row {
  readonly local: string
  readonly remote: string
  readonly state: string
  readonly uid: number
  readonly inode: string
}

const ESTABLISHED = '01'
const LISTENS = '0A'
const LOOPBACK = '127.0.0.1'
const MAPPED = '0000000000000000FFFF0000'
const ANY = ['00000000', `${MAPPED}00000000`, '0'.repeat(32)]

/** User of the other end of a connection that was accepted; null when it is not open any more, or not of this machine. */
export async function clientOwner(
  { address, port }: { readonly address: string; readonly port: number },
  ownPort: number,
  table: TcpTable = systemTcp,
): Promise<number | null> {
  const from = placesOf(address, port)
  const to = placesOf(LOOPBACK, ownPort)
  const rows = rowsOf(await table.read()).filter(
    ({ local, remote, state }) => state === ESTABLISHED && from.includes(local) && to.includes(remote),
  )
  const [row] = rows
  return row === undefined || rows.length > 1 || row.inode === '0' ? null : row.uid
}

/** Users of whatever could answer at a port of 127.0.0.1. */
export async function listenerOwners(port: number, table: TcpTable = systemTcp): Promise<ReadonlySet<number>> {
  const at = [...placesOf(LOOPBACK, port), ...ANY.map((any) => `${any}:${hexOf(port, 4)}`)]
  const rows = rowsOf(await table.read()).filter(({ local, state }) => state === LISTENS && at.includes(local))
  return new Set(rows.map(({ uid }) => uid))
}

/** As the table writes an IPv4 address: its bytes backwards, and perhaps within an IPv6 one. */
function placesOf(address: string, port: number): readonly string[] {
  const bytes = address.replace(/^::ffff:/i, '').split('.')
  const word = bytes
    .toReversed()
    .map((byte) => hexOf(Number(byte), 2))
    .join('')
  return [word, `${MAPPED}${word}`].map((place) => `${place}:${hexOf(port, 4)}`)
}

function hexOf(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}

function rowsOf(text: string): readonly Row[] {
  return text.split('\n').flatMap((line) => {
    const [number = '', local, remote, state, , , , uid, , inode] = line.trim().split(/\s+/)
    if (!/^\d+:$/.test(number) || local === undefined || remote === undefined || inode === undefined) return []
    return [{ local, remote, state: state ?? '', uid: Number(uid), inode }]
  })
}
